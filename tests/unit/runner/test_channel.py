import json
import socket
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airdock.errors import RunnerError
from airdock.runner.channel import FRAME_LIMIT, Channel, FrameReader, encode, open_listener

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,  # making larger ones takes longer than everything that is tested with them
)


@given(st.lists(st.dictionaries(st.text(), JSON), max_size=4), st.integers(min_value=1, max_value=40))
def test_any_cut_of_the_stream_gives_the_same_messages(bodies: list[dict], size: int) -> None:
    messages = [{**body, "type": "x"} for body in bodies]
    stream = b"".join(map(encode, messages))
    reader = FrameReader()
    pieces = (stream[start : start + size] for start in range(0, len(stream), size))
    assert [message for piece in pieces for message in reader.feed(piece)] == messages


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"no", "expected a JSON message"),
        (b"\xff\xfe", "expected a JSON message"),
        (b"[" * 100_000, "expected a JSON message"),
        (b"[]", "expected a JSON object with a type"),
        (b"{}", "expected a JSON object with a type"),
        (b'{"type": 1}', "expected a JSON object with a type"),
    ],
)
def test_what_is_not_a_message(body: bytes, reason: str) -> None:
    with pytest.raises(RunnerError, match=reason):
        list(FrameReader().feed(struct.pack(">I", len(body)) + body))


def test_a_frame_above_the_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(RunnerError, match="found 67108865"):
        list(FrameReader().feed(struct.pack(">I", FRAME_LIMIT + 1)))


def test_a_message_above_the_limit_is_not_sent() -> None:
    with pytest.raises(RunnerError, match="expected a message of at most"):
        encode({"type": "response", "value": "x" * FRAME_LIMIT})


def test_text_that_utf_8_has_no_form_for_passes() -> None:
    [message] = FrameReader().feed(encode({"type": "x", "value": "\udc80"}))
    assert message["value"] == "\udc80"


def test_what_does_not_fit_is_kept_and_sent_later() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        channel = Channel(ours)
        channel.send({"type": "response", "value": "x" * 10_000_000})
        assert channel.has_unsent
        reader = FrameReader()
        received: list[dict] = []
        while not received:
            received += reader.feed(theirs.recv(1 << 20))
            channel.flush()
        assert len(received[0]["value"]) == 10_000_000
        assert not channel.has_unsent
        channel.close()


def test_the_other_end_is_gone() -> None:
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    theirs.close()
    assert list(channel.receive()) == []
    assert not channel.is_open
    channel.send({"type": "response", "value": 1})
    assert not channel.has_unsent
    channel.close()


def test_every_id_may_connect_however_deep_the_folder_lies(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 30) / ("er" * 30)
    folder.mkdir(parents=True)
    with open_listener(folder) as listener:
        assert (folder / "channel.sock").stat().st_mode & 0o777 == 0o666
        assert listener.getblocking() is False


def test_frames_are_what_the_docstring_says() -> None:
    frame = encode({"type": "hello", "version": 1})
    assert frame[:4] == len(frame[4:]).to_bytes(4, "big")
    assert json.loads(frame[4:]) == {"type": "hello", "version": 1}
