"""Several processes and threads at one store, and some that die in the middle."""

import io
import os
import signal
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from airdock.images.layers import claim_layer, set_aside
from airdock.images.locks import take_lock
from airdock.images.store import ImageStore

from .archives import config_of, folder, leftovers, make_store, member, tar_of

PRELUDE = """
import io, os, sys, signal
from pathlib import Path
from airdock.images.store import ImageStore
from airdock.images.calls import DirectCalls
from airdock.oci.digest import Digest
import airdock.images.layers, airdock.images.blobs, airdock.images.unpack, airdock.images.trees
store = ImageStore(root=Path(sys.argv[1]), calls=DirectCalls())
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
def die_before_rename_to(name, rename=Path.rename):
    Path.rename = lambda path, target: die() if target.name == name else rename(path, target)
"""


def start(script: str, store: ImageStore, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", PRELUDE + script, str(store.root), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)


def big_tar(count: int = 600) -> bytes:
    return tar_of(folder("d"), *(member(f"d/{number}", content=b"x" * 2000) for number in range(count)))


def test_processes_that_want_one_layer_unpack_it_once(store: ImageStore, tmp_path: Path) -> None:
    layer = store.commit_tar(io.BytesIO(big_tar()), unpack=False)
    script = """
count = 0
plain = airdock.images.unpack._unpack_to
def counted(*args, **kwargs):
    global count
    count += 1
    plain(*args, **kwargs)
airdock.images.unpack._unpack_to = counted
sys.stdin.readline()
path = store.layer_path(Digest(sys.argv[2]))
print(count, len(list((path / "d").iterdir())))
"""
    processes = [start(script, store, layer.diff_id) for _ in range(4)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60)[0].split() for process in processes]
    assert [len(words) for words in said] == [2] * 4
    assert sum(int(words[0]) for words in said) == 1
    assert {words[1] for words in said} == {"600"}
    assert leftovers(store.root) == []


def test_threads_that_commit_one_layer(store: ImageStore, tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(big_tar(50))
    layers = []
    threads = [threading.Thread(target=lambda: layers.append(store.commit_tar(tmp_path / "t"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(layers) == 4 and len(set(map(repr, layers))) == 1
    assert len(list(store.root.glob("layers/one/*"))) == 1
    assert leftovers(store.root) == []


@pytest.mark.parametrize(
    "script",
    [
        "airdock.images.unpack.Unpacker._finish_folders = die",
        "die_before_rename_to('diff')",
        "airdock.images.blobs.Blobs.place = die",
        "die_before_rename_to('index.json')",
    ],
)
def test_killed_between_temporary_and_rename(script: str, store: ImageStore, tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(big_tar(20))
    process = start(f"{script}\nstore.commit_tar(Path(sys.argv[2]))", store, str(tmp_path / "t"))
    assert process.wait(60) == -signal.SIGKILL
    process.communicate()
    assert list(store.root.glob("blobs/*/[0-9a-f]*")) == []
    assert leftovers(store.root)
    layer = store.commit_tar(tmp_path / "t")
    assert len(list((store.layer_path(layer.diff_id) / "d").iterdir())) == 20
    image = store.put_image(config_of("x"), [layer])
    store.remove(image.digest)
    assert leftovers(store.root) == []
    assert list(store.root.glob("blobs/*/*")) == []


def test_killed_while_removing(store: ImageStore) -> None:
    image = store.put_image(config_of("x"), [store.commit_tar(io.BytesIO(big_tar(20)))])
    store.tag("x", image.digest)
    process = start("airdock.images.trees._clear_files = die\nstore.remove('x')", store)
    assert process.wait(60) == -signal.SIGKILL
    process.communicate()
    assert len(leftovers(store.root)) == 1
    assert store.list() == []
    store.prune()
    assert leftovers(store.root) == []


def test_a_living_writer_is_not_swept(store: ImageStore) -> None:
    with store.open_writer() as writer:
        writer.write(b"abc")
        with closing(make_store(store.root)) as other:
            other.prune()
        digest, _ = writer.commit()
    assert store.has_blob(digest)


def test_leases_end_with_their_process(store: ImageStore) -> None:
    image = store.put_image(config_of("x"), [store.commit_tar(io.BytesIO(big_tar(5)))])
    store.tag("x", image.digest)
    script = "store.lease([Digest(sys.argv[2])], 'box')\nprint('leased', flush=True)\nsys.stdin.readline()"
    process = start(script, store, image.config.diff_ids[0])
    assert process.stdout is not None and process.stdout.readline() == "leased\n"
    with pytest.raises(Exception, match="in use by box"):
        store.remove("x")
    process.kill()
    process.communicate()
    assert store.remove("x")[-1].startswith("Deleted")
    assert [path for path in store.root.glob("leases/*") if "box" in path.read_text()] == []


def test_removing_beside_use(store: ImageStore) -> None:
    """One process removes while others ask for the layer: each gets a whole folder or a clear error."""
    tar = big_tar(60)
    script = """
from airdock.errors import ImageError
for number in range(30):
    try:
        store.lease([Digest(sys.argv[2])], 'user %d' % os.getpid())
        path = store.layer_path(Digest(sys.argv[2]))
        assert len(list((path / "d").iterdir())) == 60
        assert all(file.stat().st_size == 2000 for file in (path / "d").iterdir())
    except ImageError as error:
        assert 'expected' in error.message, error
    finally:
        store.release('user %d' % os.getpid())
print("fine")
"""
    layer = store.commit_tar(io.BytesIO(tar))
    image = store.put_image(config_of("x"), [layer])
    users = [start(script, store, layer.diff_id) for _ in range(2)]
    for _ in range(40):
        try:
            store.remove(image.digest)
        except Exception as error:
            assert "in use" in str(error)
        else:
            store.put_image(config_of("x"), [store.commit_tar(io.BytesIO(tar), unpack=False)])
    assert [user.communicate(timeout=60)[0] for user in users] == ["fine\n"] * 2


def test_a_lock_whose_file_went_is_taken_anew(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = take_lock(path)
    assert first is not None and take_lock(path, wait=False) is None
    got = []
    waiter = threading.Thread(target=lambda: got.append(take_lock(path)))
    waiter.start()
    path.unlink()
    os.close(first)
    waiter.join(10)
    assert got and path.exists() and take_lock(path, wait=False) is None
    os.close(got[0])


def test_a_layer_is_claimed_while_others_set_it_aside(tmp_path: Path) -> None:
    folder = tmp_path / "root" / "ab"
    claims = 500
    done = threading.Event()

    def remover() -> None:
        while not done.is_set():
            set_aside(folder)

    thread = threading.Thread(target=remover)
    thread.start()
    try:
        for _ in range(claims):
            with claim_layer(folder) as target:
                if target is not None:
                    target.mkdir()
    finally:
        done.set()
        thread.join()
    set_aside(folder)
    assert not folder.exists()
    # Each folder that went was a layer, or one that nobody had made a layer of yet.
    assert {path.name for aside in folder.parent.iterdir() for path in aside.iterdir()} <= {"lock", "diff"}
