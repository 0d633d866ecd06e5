import pytest

from airdock.containers.detach_keys import DetachKeys, parse_keys
from airdock.errors import ContainerError


@pytest.mark.parametrize(
    ("text", "keys"),
    [("ctrl-p,ctrl-q", b"\x10\x11"), ("a", b"a"), ("ctrl-@,ctrl-[,x", b"\x00\x1bx"), ("ctrl-A", b"\x01"), ("", b"")],
)
def test_keys_are_read(text: str, keys: bytes) -> None:
    assert parse_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-pp", "ab", "ctrl-1", "a,,b", "ü", "ctrl-ü"])
def test_other_keys_are_refused(text: str) -> None:
    with pytest.raises(ContainerError, match="expected keys"):
        parse_keys(text)


def test_keys_are_found_over_several_reads() -> None:
    keys = DetachKeys(b"\x10\x11")
    assert keys.feed(b"ls\x10") == (b"ls", False)
    assert keys.feed(b"\x11rest") == (b"", True)


def test_half_of_the_keys_is_passed_on() -> None:
    keys = DetachKeys(b"\x10\x11")
    assert keys.feed(b"\x10") == (b"", False)
    assert keys.feed(b"x") == (b"\x10x", False)
    assert keys.feed(b"\x10\x10\x11") == (b"\x10", True)


def test_no_keys_leave_nothing_out() -> None:
    assert DetachKeys(b"").feed(b"\x10\x11") == (b"\x10\x11", False)


def test_one_key() -> None:
    assert DetachKeys(b"q").feed(b"abq") == (b"ab", True)
