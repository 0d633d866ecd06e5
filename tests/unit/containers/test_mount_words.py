"""What -v, --mount and --tmpfs mean."""

from pathlib import Path

import pytest

from airdock.containers.mount_words import MountRequest, check_targets, parse_mount, parse_tmpfs, parse_volume
from airdock.errors import MountError


@pytest.mark.parametrize(
    ("text", "kind", "source", "target", "read_only"),
    [
        ("data:/in", "volume", "data", "/in", False),
        ("data:/in/:ro", "volume", "data", "/in", True),
        ("/in", "volume", "", "/in", False),
        ("/srv:/in:rw,z", "bind", "/srv", "/in", False),
        ("/srv:/in:ro,rprivate", "bind", "/srv", "/in", True),
        ("/srv/../srv:/a/./b/../c", "bind", "/srv", "/a/c", False),
    ],
)
def test_a_volume(text: str, kind: str, source: str, target: str, read_only: bool) -> None:
    found = parse_volume(text)
    assert (found.kind, found.source, found.target, found.read_only) == (kind, source, target, read_only)
    assert found.make_source == (kind == "bind")


def test_paths_of_this_machine_are_taken_from_where_we_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    assert parse_volume(".:/in").source == str(tmp_path)
    assert parse_volume("./a/../b:/in").source == f"{tmp_path}/b"
    assert parse_volume("~/x:/in").source == "/home/me/x"
    assert parse_mount("type=bind,src=sub,dst=/in").source == f"{tmp_path}/sub"


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        ("target=/in", MountRequest(kind="volume", target="/in")),
        ("type=volume,src=data,dst=/in,ro", MountRequest(kind="volume", source="data", target="/in", read_only=True)),
        (
            "type=bind,source=/srv,destination=/in,readonly=true,bind-propagation=rprivate",
            MountRequest(kind="bind", source="/srv", target="/in", read_only=True),
        ),
        (
            "type=tmpfs,target=/t,tmpfs-size=64m,tmpfs-mode=1770",
            MountRequest(kind="tmpfs", target="/t", size_bytes=64 << 20, mode=0o1770),
        ),
        (
            "type=volume,src=data,target=/in,volume-nocopy,volume-subpath=a/b,volume-label=k=v",
            MountRequest(kind="volume", source="data", target="/in", no_copy=True, subpath="a/b", labels=(("k", "v"),)),
        ),
        ('type=bind,"source=/a,b",target=/in', MountRequest(kind="bind", source="/a,b", target="/in")),
    ],
)
def test_a_mount(text: str, request_: MountRequest) -> None:
    assert parse_mount(text) == request_


@pytest.mark.parametrize(
    "text",
    [
        "", ":", "a:", ":/in", "a:in", "x:/in", "data:/", "data:/in:ro:more", "data:/in:sideways", "/srv:/in:shared",
        "no/name:/in", "data:/in\0",
    ],
)  # fmt: skip
def test_volumes_that_mean_nothing(text: str) -> None:
    with pytest.raises(MountError, match="expected"):
        parse_volume(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "type=bind,target=/in", "type=bind,source=/srv", "type=npipe,source=a,target=/b", "what=ever,target=/in",
        "type=tmpfs,source=/a,target=/b", "type=tmpfs,target=/b,tmpfs-size=much", "target=/in,readonly=maybe",
        "type=bind,source=/a,target=/b,tmpfs-size=1m", "target=in", "type=tmpfs,target=/b,tmpfs-mode=rwx", "target",
        "source=data,target=/in,volume-subpath=../out", 'target=/in,"',
        "type=bind,source=/a,target=/b,bind-propagation=shared",
    ],
)  # fmt: skip
def test_mounts_that_mean_nothing(text: str) -> None:
    with pytest.raises(MountError, match="expected"):
        parse_mount(text)


def test_memory() -> None:
    assert parse_tmpfs("/run:size=1m,mode=700,noexec") == "/run:size=1m,mode=700,noexec"
    for text in ("run", "/run:upperdir=/x", "/", "/run:size=1m,bpf"):
        with pytest.raises(MountError):
            parse_tmpfs(text)
    assert MountRequest(kind="tmpfs", target="/t", size_bytes=4096, mode=0o700).tmpfs == "/t:size=4096,mode=700"
    assert MountRequest(kind="tmpfs", target="/t").tmpfs == "/t"


def test_one_thing_at_one_place() -> None:
    check_targets([parse_volume("/a"), parse_volume("/b")], ["/c"])
    with pytest.raises(MountError, match="found two"):
        check_targets([parse_volume("/a"), parse_volume("dd:/a/")], [])
    with pytest.raises(MountError, match="found two"):
        check_targets([parse_volume("/a")], ["/a:size=1m"])


@pytest.mark.parametrize("target", ["/proc", "/proc/", "/x/../proc/self/attr", "//proc/sys"])
def test_nothing_covers_what_the_kernel_tells(target: str) -> None:
    with pytest.raises(MountError):
        check_targets([parse_volume(f"/tmp:{target}")], [])
    with pytest.raises(MountError):
        check_targets([], [target])
    check_targets([parse_volume("/tmp/info:/proc/meminfo"), parse_volume("/tmp:/process")], [])
