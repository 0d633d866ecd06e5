"""COPY, ADD and WORKDIR: what goes where, as whom, and what is refused."""

import bz2
import gzip
import io
import lzma
import os
import socket
import tarfile
from pathlib import Path

import pytest

from airdock.builder.ignore import IgnoreRules
from airdock.builder.ownership import apply_mode
from airdock.builder.trees import ContextTree, LayeredTree, resolve
from airdock.errors import BuildError
from airdock.images.tar import DIRECTORY, HARD_LINK, REGULAR, SYMLINK, Entry


def names(bench, instructions: str, base: str = "base") -> dict[str, object]:
    """The entries of the last layer of a build upon the base."""
    image = bench.build(f"FROM {base}\n{instructions}\n")
    return bench.entries(image.layers[-1])


@pytest.fixture
def based(bench):
    bench.base("base")
    bench.write({"a.txt": "a", "b.txt": "b", "c.md": "c", "d/e.txt": "e", "d/f/g.txt": "g"})
    return bench


@pytest.mark.parametrize(
    ("instruction", "files"),
    [
        ("COPY a.txt /x", {"x"}),
        ("COPY a.txt /x/", {"x/a.txt"}),
        ("COPY a.txt /tmp", {"tmp/a.txt"}),
        ("COPY a.txt /new/deep/name", {"new/deep/name"}),
        ("COPY a.txt .", {"a.txt"}),
        ("WORKDIR /w\nCOPY a.txt .", {"w/a.txt"}),
        ("WORKDIR /w\nCOPY a.txt sub/", {"w/sub/a.txt"}),
        ("WORKDIR /w\nCOPY a.txt ../up", {"up"}),
        ("COPY a.txt b.txt /x/", {"x/a.txt", "x/b.txt"}),
        ("COPY *.txt /x/", {"x/a.txt", "x/b.txt"}),
        ("COPY [ab].* c?md /x/", {"x/a.txt", "x/b.txt", "x/c.md"}),
        ("COPY d /x", {"x/e.txt", "x/f/g.txt"}),
        ("COPY d/ /x/", {"x/e.txt", "x/f/g.txt"}),
        ("COPY d/* /x/", {"x/e.txt", "x/g.txt"}),
        ("COPY */f/*.txt /x/", {"x/g.txt"}),
        ("COPY a.txt d /x/", {"x/a.txt", "x/e.txt", "x/f/g.txt"}),
        ("COPY ../../a.txt /x", {"x"}),
        ('COPY ["a.txt", "/with blank/"]', {"with blank/a.txt"}),
        ("COPY --exclude=*.md --exclude=d . /x", {"x/a.txt", "x/b.txt"}),
        ("COPY --link a.txt /x", {"x"}),
        ("COPY a.txt /lib/", {"usr/lib/a.txt"}),
        ("COPY a.txt /lib", {"usr/lib/a.txt"}),
        ("COPY d /lib", {"usr/lib/e.txt", "usr/lib/f/g.txt"}),
    ],
)
def test_where_files_go(based, instruction: str, files: set[str]) -> None:
    found = names(based, instruction)
    assert {name for name, entry in found.items() if entry.kind == REGULAR} == files


def test_a_pattern_that_matches_nothing_copies_nothing(based) -> None:
    image = based.build("FROM base\nCOPY nothing* /x/\n")
    assert len(image.layers) == 1
    assert image.config.history[-1].empty_layer


def test_folders_on_the_way_keep_what_they_are(based) -> None:
    found = names(based, "COPY a.txt /home/airflow/new/a")
    shown = {name: (entry.kind, entry.mode, entry.uid, entry.gid) for name, entry in found.items()}
    assert shown == {
        "home": (DIRECTORY, 0o755, 0, 0),
        "home/airflow": (DIRECTORY, 0o700, 1000, 1001),  # though an account with one id has it as its own
        "home/airflow/new": (DIRECTORY, 0o755, 0, 0),
        "home/airflow/new/a": (REGULAR, 0o644, 0, 0),
    }
    assert found["home/airflow"].mtime_ns == 10**18
    assert found["home/airflow/new"].mtime_ns == 946_684_800 * 10**9
    assert names(based, "COPY d /tmp")["tmp"].mode == 0o1777


def test_files_of_a_stage_keep_their_owners(based) -> None:
    image = based.build("FROM scratch\nCOPY --from=base /home /h/\nCOPY --from=base --chown=3:4 /home /i/\n")
    kept, changed = (based.entries(layer) for layer in image.layers)
    assert (kept["h/airflow"].uid, kept["h/airflow"].gid) == (1000, 1001)
    assert (changed["i/airflow"].uid, changed["i/airflow"].gid) == (3, 4)


def test_folders_inside_are_copied_but_not_the_one_that_is_named(based) -> None:
    (based.context / "d").chmod(0o750)
    (based.context / "d/f").chmod(0o711)
    found = names(based, "COPY d /x")
    assert (found["x"].mode, found["x/f"].mode) == (0o755, 0o711)
    assert names(based, "COPY d /tmp")["tmp"].mode == 0o1777


@pytest.mark.parametrize(
    ("chown", "owner"),
    [
        ("airflow", (1000, 1001)),
        ("airflow:staff", (1000, 50)),
        ("7", (7, 7)),
        ("7:8", (7, 8)),
        ("7:staff", (7, 50)),
        ("airflow:9", (1000, 9)),
        ("root", (0, 0)),
    ],
)
def test_owners(based, chown: str, owner: tuple[int, int]) -> None:
    found = names(based, f"COPY --chown={chown} d /x/y")
    assert {(entry.uid, entry.gid) for name, entry in found.items()} == {owner}


def test_a_user_is_looked_up_through_links_but_not_outside(based, tmp_path: Path) -> None:
    from_host = tmp_path / "passwd"
    from_host.write_text("spy:x:5:5::/:/bin/sh\n")
    link = (Entry(name=b"etc/passwd", kind=SYMLINK, link=f"../../../..{from_host}".encode()), b"")
    folder = (Entry(name=b"etc", kind=DIRECTORY, mode=0o755), b"")
    based.base("evil", [folder, link])
    with pytest.raises(BuildError, match="expected the user 'spy'") as raised:
        names(based, "COPY --chown=spy a.txt /x", base="evil")
    assert raised.value.where == "Dockerfile:2"


def test_an_unknown_owner_is_refused_with_the_line(based) -> None:
    with pytest.raises(BuildError, match="expected the group 'nobody-knows'") as raised:
        names(based, "\nCOPY --chown=1:nobody-knows a.txt /x")
    assert raised.value.where == "Dockerfile:3"


@pytest.mark.parametrize(
    ("change", "before", "is_folder", "after"),
    [
        ("0755", 0o644, False, 0o755),
        ("u=rwX,go=rX", 0o600, False, 0o644),
        ("u=rwX,go=rX", 0o700, False, 0o755),
        ("u=rwX,go=rX", 0o600, True, 0o755),
        ("+x", 0o644, False, 0o755),
        ("a-w", 0o664, False, 0o444),
        ("g=u", 0o640, False, 0o660),
        ("u+s,g-r", 0o755, False, 0o4715),
        ("o+t", 0o755, True, 0o1755),
        ("go=", 0o777, False, 0o700),
        ("u+w-x", 0o555, False, 0o655),
    ],
)
def test_modes(change: str, before: int, is_folder: bool, after: int) -> None:
    assert oct(apply_mode(change, before, is_folder=is_folder)) == oct(after)


def test_chmod_reaches_files_and_folders(based) -> None:
    found = names(based, "COPY --chmod=u=rwX,go= d /x")
    assert (found["x"].mode, found["x/f"].mode, found["x/e.txt"].mode) == (0o755, 0o700, 0o600)


def test_links_stay_links_and_sources_that_are_links_are_followed(based) -> None:
    (based.context / "d/to-e").symlink_to("e.txt")
    (based.context / "d/broken").symlink_to("/nowhere")
    (based.context / "to-d").symlink_to("d")
    (based.context / "to-a").symlink_to("/a.txt")
    found = names(based, "COPY to-d /x")
    assert (found["x/to-e"].kind, found["x/to-e"].link) == (SYMLINK, b"e.txt")
    assert found["x/broken"].link == b"/nowhere"
    assert names(based, "COPY to-a /y/")["y/to-a"].kind == REGULAR


def test_no_link_leads_out_of_the_context(based, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (based.context / "out").symlink_to(tmp_path / "secret")
    (based.context / "up").symlink_to("..")
    with pytest.raises(BuildError, match="expected 'out' in the build context"):
        names(based, "COPY out /x")
    with pytest.raises(BuildError, match="found nothing"):
        names(based, "COPY up/secret /x")
    (based.context / "circle").symlink_to("circle")
    with pytest.raises(BuildError, match="too many symbolic links"):
        names(based, "COPY circle /x")


def test_a_link_in_the_stage_is_followed_where_it_is_the_destination(based) -> None:
    (based.context / "links").mkdir()
    (based.context / "links/to-old").symlink_to("../usr/lib/old")
    (based.context / "links/to-new").symlink_to("/srv/new")
    image = based.build("FROM base\nCOPY links /links/\nCOPY a.txt /links/to-old\nCOPY a.txt /links/to-new\n")
    assert set(based.entries(image.layers[-2])) == {"usr", "usr/lib", "usr/lib/old"}
    assert set(based.entries(image.layers[-1])) == {"srv", "srv/new"}


def test_a_folder_goes_where_a_link_in_the_stage_leads(based) -> None:
    (based.context / "lib").mkdir()
    (based.context / "lib/new").write_text("n")
    found = names(based, "COPY . /")
    assert found["usr/lib/new"].kind == REGULAR
    assert "lib" not in found


@pytest.mark.parametrize(
    ("instruction", "message"),
    [
        ("COPY a.txt /etc/passwd/x", "expected a folder at /etc/passwd, found a file"),
        ("COPY d /etc/passwd", "expected a folder at /etc/passwd, found a file"),
        ("COPY sub /", "expected a file or nothing at /home, found a folder"),
        ("COPY missing /x", "expected 'missing' in the build context"),
        ("COPY wh /x/", "marks what a layer deletes"),
        ("COPY --from=base /missing /x", "expected '/missing' in the stage or image"),
    ],
)
def test_what_cannot_be_copied(based, instruction: str, message: str) -> None:
    based.write({"sub/home": "x", "wh/.wh.x": ""})
    with pytest.raises(BuildError) as raised:
        names(based, instruction)
    assert message in raised.value.message
    assert raised.value.where == "Dockerfile:2"
    assert list((based.folder / "cache").glob(".tmp-*")) == []


def test_what_is_missing_gets_a_hint(based) -> None:
    based.write({".dockerignore": "c.md\n"})
    with pytest.raises(BuildError) as raised:
        names(based, "COPY c.md /x")
    assert raised.value.hint == "it is there, but .dockerignore leaves it out"
    with pytest.raises(BuildError) as raised:
        names(based, "COPY d/e.tx /x")
    assert raised.value.hint == "did you mean d/e.txt?"


def test_ignored_files_stay_out_and_kept_ones_bring_their_folders(based) -> None:
    (based.context / "d").chmod(0o711)
    based.write({".dockerignore": "*\n!d/f\n"})
    found = names(based, "COPY . /x")
    assert set(found) == {"x", "x/d", "x/d/f", "x/d/f/g.txt"}
    assert found["x/d"].mode == 0o711
    assert names(based, "COPY d/f/g.txt /y")["y"].kind == REGULAR


def test_sockets_stay_out(based) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(based.context / "d/socket"))
        os.mkfifo(based.context / "d/pipe")
        found = names(based, "COPY d /x")
    assert "x/socket" not in found
    assert "x/pipe" in found


def test_names_of_any_kind_and_length(based) -> None:
    deep = "/".join(["n" * 200] * 3)
    based.write({f"odd/{deep}/x": "deep", "odd/ü\n ": "odd"})
    with open(os.fsencode(based.context) + b"/odd/\xff", "wb") as file:
        file.write(b"raw")
    image = based.build("FROM base\nCOPY odd /x\n")
    assert based.text(image, f"x/{deep}/x") == "deep"
    assert based.text(image, "x/ü\n ") == "odd"
    assert (based.store.layer_path(image.layers[-1].diff_id) / os.fsdecode(b"x/\xff")).read_bytes() == b"raw"


def test_workdir_makes_what_is_missing(based) -> None:
    image = based.build("FROM base\nWORKDIR /home\nUSER airflow\nWORKDIR airflow/work/deep\n")
    assert len(image.layers) == 2
    assert [entry.empty_layer for entry in image.config.history] == [True, True, False]
    found = based.entries(image.layers[-1])
    assert {name: (entry.uid, entry.gid) for name, entry in found.items() if "work" in name} == {
        "home/airflow/work": (1000, 1001),
        "home/airflow/work/deep": (1000, 1001),
    }


def make_tar(files: dict[str, str], **extra: object) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            if text.startswith("-> "):
                member.type, member.linkname = tarfile.SYMTYPE, text[3:]
                tar.addfile(member)
                continue
            if text.startswith("= "):
                member.type, member.linkname = tarfile.LNKTYPE, text[2:]
                tar.addfile(member)
                continue
            member.size, member.uid, member.gid, member.mtime, member.mode = len(text), 12, 13, 1_500_000_000, 0o640
            tar.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


def zstd_compress(data: bytes) -> bytes:
    packed: bytes = pytest.importorskip("backports.zstd").compress(data)
    return packed


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress, zstd_compress])
def test_add_unpacks_archives_by_content(based, pack) -> None:
    (based.context / "archive.bin").write_bytes(
        pack(make_tar({"lib/new": "n", "x/a": "1", "x/b": "= x/a", "c": "-> x/a"}))
    )
    found = names(based, "ADD archive.bin /")
    assert (found["usr/lib/new"].kind, found["usr/lib/new"].uid, found["usr/lib/new"].mode) == (REGULAR, 12, 0o640)
    assert found["usr/lib/new"].mtime_ns == 1_500_000_000 * 10**9
    assert (found["x/b"].kind, found["x/b"].link) == (HARD_LINK, b"x/a")
    assert found["c"].link == b"x/a"
    found = names(based, "ADD --chown=airflow archive.bin /opt")
    assert (found["opt/x/b"].link, found["opt/x/a"].uid, found["opt/lib/new"].uid) == (b"opt/x/a", 12, 12)
    assert found["opt"].uid == 1000
    assert set(names(based, "COPY archive.bin /opt/")) == {"opt", "opt/archive.bin"}
    assert set(names(based, "ADD --unpack=false archive.bin /opt/")) == {"opt", "opt/archive.bin"}


def test_add_copies_what_only_looks_like_an_archive(based) -> None:
    based.write({"notes.tar": "just text", "empty.tar.gz": ""})
    (based.context / "data.gz").write_bytes(gzip.compress(b"no tar in here"))
    found = names(based, "ADD notes.tar empty.tar.gz data.gz /x/")
    assert set(found) == {"x", "x/notes.tar", "x/empty.tar.gz", "x/data.gz"}


@pytest.mark.parametrize(
    "files",
    [{"../out": "x"}, {"/abs": "x"}, {"a": "-> /etc", "a/passwd": "x"}, {"b": "= ../../etc/passwd"}, {"x/.wh.y": ""}],
)
def test_hostile_archives_are_refused(based, files: dict[str, str]) -> None:
    (based.context / "evil.tar").write_bytes(make_tar(files))
    with pytest.raises(BuildError) as raised:
        names(based, "ADD evil.tar /x/")
    assert raised.value.where == "Dockerfile:2"
    assert list((based.folder / "cache").glob(".tmp-*")) == []


def test_a_damaged_archive_is_refused(based) -> None:
    packed = gzip.compress(make_tar({"a": "x" * 100_000}))
    (based.context / "cut.tgz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(BuildError):
        names(based, "ADD cut.tgz /x/")


def test_an_archive_is_unpacked_anew_upon_another_base(based) -> None:
    (based.context / "a.tar").write_bytes(make_tar({"lib/new": "n"}))
    assert "usr/lib/new" in names(based, "ADD a.tar /")
    based.base("plain", [(Entry(name=b"srv", kind=DIRECTORY, mode=0o755), b"")])
    assert set(names(based, "ADD a.tar /", base="plain")) == {"lib", "lib/new"}


def test_layers_are_seen_as_one(tmp_path: Path) -> None:
    low, high = tmp_path / "low", tmp_path / "high"
    for path, text in {"a/x": "low", "a/y": "low", "b/z": "low", "c": "low", "d/e": "low"}.items():
        (low / path).parent.mkdir(parents=True, exist_ok=True)
        (low / path).write_text(text)
    (high / "a").mkdir(parents=True)
    (high / "a/x").write_text("high")
    (high / "d").write_text("a file now")
    (high / "b").mkdir()
    os.setxattr(high / "b", "user.overlay.opaque", b"y")
    try:
        os.mknod(high / "c", 0o20600, 0)
    except PermissionError:
        pytest.skip("making whiteouts needs root")
    tree = LayeredTree([str(low), str(high)])
    assert tree.names("") == ["a", "b", "d"]
    assert tree.names("a") == ["x", "y"]
    assert tree.names("b") == []
    assert tree.look("c") is None
    assert tree.look("d").kind == "file"
    assert tree.look("d/e") is None
    with os.fdopen(tree.open("a/x")) as file:
        assert file.read() == "high"


def test_paths_resolve_inside_the_tree(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "abs").symlink_to("/a/b")
    (tmp_path / "a/up").symlink_to("../../../../a")
    (tmp_path / "a/b/chain").symlink_to("../../abs")
    tree = ContextTree(str(tmp_path), IgnoreRules(()))
    assert resolve(tree, "abs") == "a/b"
    assert resolve(tree, "a/up/b/chain/new") == "a/b/new"
    assert resolve(tree, "../../x") == "x"
    assert resolve(tree, "abs", follow_last=False) == "abs"
    assert resolve(tree, "abs/../up", follow_last=False) == "a/up"
