"""Archives with anything in them: our own errors or images that can be read, and nothing else left in the store."""

import io
import json
import tempfile
from contextlib import closing
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airdock.errors import AirdockError
from airdock.images.archive_load import load_images
from airdock.images.archive_save import save_images
from airdock.images.streams import PieceReader, compression_of, open_plain
from airdock.oci.descriptor import host_platform
from airdock.oci.digest import digest_bytes

from .archives import config_of, folder, make_store, member, tar_of

LAYER = tar_of(folder("d"), member("d/f", content=b"f" * 700))


def make_ours() -> bytes:
    with tempfile.TemporaryDirectory() as name, closing(make_store(Path(name))) as store:
        image = store.put_image(config_of("a"), [store.commit_tar(io.BytesIO(LAYER))])
        store.tag("a:1", image.digest)
        output = io.BytesIO()
        save_images(store, ["a:1"], output)
        return output.getvalue()


def make_dockers() -> bytes:
    diff_ids = [digest_bytes(LAYER)]
    rootfs = {"type": "layers", "diff_ids": diff_ids}
    config = {"architecture": host_platform().architecture, "os": "linux", "rootfs": rootfs}
    manifest = [{"Config": "c.json", "RepoTags": ["a:1"], "Layers": ["1/layer.tar"]}]
    return tar_of(
        member("1/layer.tar", content=LAYER),
        member("c.json", content=json.dumps(config).encode()),
        member("manifest.json", content=json.dumps(manifest).encode()),
    )


WHOLE = (make_ours(), make_dockers())
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


def load(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as name, closing(make_store(Path(name))) as store:
        try:
            loaded = load_images(store, io.BytesIO(content))
        except AirdockError:
            assert store.list() == []
            assert [path for pattern in ("blobs/*/*", "diffs/*") for path in store.root.glob(pattern)] == []
            return
        for image in loaded:
            assert store.find(image.digest)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    which=st.sampled_from(WHOLE),
    edits=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), max_size=4),
    cut=st.none() | st.integers(0, 1 << 20),
)
def test_flipped_bytes_and_archives_that_break_off(which: bytes, edits: list[tuple[int, int]], cut: int | None) -> None:
    content = bytearray(which)
    for at, value in edits:
        content[at % len(content)] = value
    load(bytes(content[: cut % len(content)] if cut is not None else content))


@settings(max_examples=80, deadline=None)
@given(index=VALUES, manifest=VALUES, tags=VALUES)
def test_documents_that_are_something_else(index: object, manifest: object, tags: object) -> None:
    entry = {"Config": "c.json", "RepoTags": tags, "Layers": tags}
    for name, value in (("index.json", index), ("manifest.json", manifest), ("manifest.json", [entry])):
        load(tar_of(member(name, content=json.dumps(value).encode()), member("c.json", content=b"{}")))


@given(content=st.binary(max_size=300), sizes=st.lists(st.integers(0, 50), max_size=20))
def test_streams_give_their_bytes_or_say_what_is_wrong(content: bytes, sizes: list[int]) -> None:
    reader = open_plain(io.BytesIO(content))
    try:
        read = b"".join(reader.read(size) for size in sizes) + reader.read()
    except AirdockError:
        assert compression_of(content)
    else:
        assert read == content or compression_of(content)


def test_pieces_are_joined_and_split() -> None:
    reader = PieceReader(iter([b"ab", b"", b"cdef"]))
    assert [reader.read(1), reader.read(0), reader.read(3), reader.read()] == [b"a", b"", b"bcd", b"ef"]
