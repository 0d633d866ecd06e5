"""`container cp` and `diff` beside Docker's own engine: same image, same commands, same files at the end."""

import io
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Account = Any
Docker = Callable[..., Any]
"""`conftest.Account` and `conftest.Docker`; conftest can't be imported by name."""

Engine = Callable[..., tuple[int, bytes]]
"""A command's exit code and output; `input` is its stdin."""

SOURCES = ["file", "file/", "dir", "dir/", "dir/.", "link", "dirlink", "dirlink/", "dirlink/.", "broken", "missing"]
TARGETS = ["there", "there/", "new", "new/", "no/new", "onto", "onto/", "to-there", "to-there/", "to-file", "."]

FEW = ["file", "dir", "dir/.", "link"]
CASES = [
    *((flag, source, target) for flag in ("", "-L") for source in SOURCES for target in ("there", "new")),
    *(("", source, target) for source in FEW for target in TARGETS if target not in ("there", "new")),
]
OURS = {("", "dir/.", "to-there/")}
"""Docker's client fails to follow the link; a folder is what it is asked for, so we copy."""

_DOCKERFILE = """FROM flat
RUN mkdir -p /of/dir/sub /of/there && cd /of && echo f > file && echo a > dir/a && echo b > dir/sub/b && echo o > onto \
 && chmod 640 dir/a && chmod 750 dir/sub && chown 7:8 dir/a && ln -s file link && ln -s dir dirlink && ln -s no broken \
 && ln -s there to-there && ln -s onto to-file && touch -d 2001-02-03 file
"""
_MAKE = f"i=0; while [ $i -lt {len(CASES)} ]; do cp -a /of /c$i; i=$((i+1)); done"


@pytest.fixture(scope="module")
def engines(root_account: Account, docker: Docker, debian_base: Path) -> Iterator[dict[str, Engine]]:
    """Both, with an ended container "copied" of one image, which has a folder /c<number> for each case."""

    def mine(*argv: str, input: bytes | None = None) -> tuple[int, bytes]:
        done = root_account.airdock(
            *argv, input=None if input is None else input.decode("latin-1"), env={"PYTHONIOENCODING": "latin-1"}
        )
        return done.returncode, done.stdout.encode()

    def theirs(*argv: str, input: bytes | None = None) -> tuple[int, bytes]:
        done = docker(*argv, input=input, check=False)
        return done.returncode, done.stdout

    assert mine("image", "import", str(debian_base), "flat")[0] == 0
    done = root_account.airdock("image", "build", "-q", "-t", "copying", "-", input=_DOCKERFILE)
    assert done.returncode == 0, done.stderr
    saved = root_account.home / "copying.tar"
    assert mine("image", "save", "-o", str(saved), "copying")[0] == 0
    docker("load", "-i", str(saved))
    made: dict[str, Engine] = {"airdock": mine, "docker": theirs}
    try:
        for name, engine in made.items():
            code, _ = engine(
                *("container", "run", "--network=none", "--name", f"cp-{name}", "copying", "sh", "-c", _MAKE)
            )
            assert code == 0
        yield made
    finally:
        for name, engine in made.items():
            engine("container", "rm", "-f", f"cp-{name}")


def _listed(root: Path) -> list[str]:
    """Everything below a folder with kind, mode, content; owners are the caller's on either side."""
    found = []
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root)
        if path.is_symlink():
            found.append(f"{name} -> {path.readlink()}")
        elif path.is_dir():
            found.append(f"{name}/ {path.stat().st_mode & 0o7777:o}")
        else:
            found.append(f"{name} {path.stat().st_mode & 0o7777:o} {path.read_text().strip()}")
    return found


def _make_tree(root: Path) -> None:
    """What /of has in the image."""
    (root / "dir/sub").mkdir(parents=True)
    (root / "there").mkdir()
    for name, text in {"file": "f", "dir/a": "a", "dir/sub/b": "b", "onto": "o"}.items():
        (root / name).write_text(text)
    for name, target in {
        "link": "file",
        "dirlink": "dir",
        "broken": "no",
        "to-there": "there",
        "to-file": "onto",
    }.items():
        (root / name).symlink_to(target)
    (root / "dir/a").chmod(0o640)
    (root / "dir/sub").chmod(0o750)


def test_what_comes_out(engines: dict[str, Engine], tmp_path: Path) -> None:
    found: dict[str, list[Any]] = {}
    for name, engine in engines.items():
        for number, (flag, source, target) in enumerate(CASES):
            root = tmp_path / name / str(number)
            _make_tree(root)
            code, _ = engine("container", "cp", *flag.split(), f"cp-{name}:/of/{source}", f"{root}/{target}")
            if (flag, source, target) in OURS:
                assert (name, code) in ((("airdock", 0), ("docker", 1)))
                continue
            found.setdefault(name, []).append((f"{flag} {source} {target}", code, _listed(root)))
    _compare(found)


def test_what_goes_in(engines: dict[str, Engine], tmp_path: Path) -> None:
    found: dict[str, list[Any]] = {}
    _make_tree(tmp_path / "of")
    for name, engine in engines.items():
        codes = [
            engine("container", "cp", *flag.split(), f"{tmp_path}/of/{source}", f"cp-{name}:/c{number}/{target}")[0]
            for number, (flag, source, target) in enumerate(CASES)
        ]
        exported = tmp_path / f"{name}.tar"
        assert engine("container", "export", "-o", str(exported), f"cp-{name}")[0] == 0
        listed: dict[str, list[str]] = {}
        with tarfile.open(exported) as tar:
            for member in tar:
                top, _, rest = member.name.partition("/")
                text = tar.extractfile(member).read().decode().strip() if member.isreg() and top[1:].isdigit() else ""  # type: ignore[union-attr]
                mode = "" if member.issym() else f"{member.mode & 0o7777:o}"
                listed.setdefault(top, []).append(
                    f"{rest} {member.type!r} {mode} {member.uid}:{member.gid} {member.linkname} {text}"
                )
        found[name] = [
            (" ".join(case), code, sorted(listed[f"c{number}"]))
            for number, (case, code) in enumerate(zip(CASES, codes, strict=True))
        ]
    _compare(found)


def test_tars_both_ways(engines: dict[str, Engine]) -> None:
    found: dict[str, list[Any]] = {}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for member_name, owner in {"put": 0, "put/x": 7}.items():
            member = tarfile.TarInfo(member_name)
            member.uid, member.type, member.mode = owner, tarfile.DIRTYPE if owner == 0 else tarfile.REGTYPE, 0o750
            tar.addfile(member)
    for name, engine in engines.items():
        results = found.setdefault(name, [])
        for target in ("/of/there", "/of/there/", "/of/to-there", "/of/onto", "/of/none"):
            code, _ = engine("container", "cp", "-", f"cp-{name}:{target}", input=packed.getvalue())
            results.append((f"- {target}", code, []))
        for flag, source in [("", one) for one in SOURCES] + [("-L", "link"), ("-L", "dirlink"), ("", "there/put")]:
            code, data = engine("container", "cp", *flag.split(), f"cp-{name}:/of/{source}", "-")
            names = []
            if code == 0:
                with tarfile.open(fileobj=io.BytesIO(data)) as tar:
                    names = sorted(f"{m.name} {m.type!r} {m.linkname} {m.uid}:{m.gid}" for m in tar)
            results.append((f"{flag} {source} -", code, names))
    _compare(found)


def test_diff(engines: dict[str, Engine]) -> None:
    script = (
        "cd /of; rm -r dir; mkdir dir; echo n > dir/n; rm file; chmod 700 onto; ln -sfn x link; mv there moved; "
        "mkdir -p /fresh/deep; touch /fresh/deep/f; cat /etc/hostname > /of/host; rm /etc/motd; touch /tmp/t"
    )
    found: dict[str, list[Any]] = {}
    for name, engine in engines.items():
        container = f"diff-{name}"
        try:
            run = ("container", "run", "--network=none", "--name", container, "copying", "sh", "-c", script)
            assert engine(*run)[0] == 0
            code, data = engine("container", "diff", container)
            found[name] = [("diff", code, sorted(data.decode().splitlines()))]
        finally:
            engine("container", "rm", "-f", container)
    _compare(found)


def _compare(found: dict[str, list[Any]]) -> None:
    """Say each case in which the two differ."""
    different = [
        f"{mine[0]}: ours {mine[1]} {sorted(set(mine[2]) - set(theirs[2]))}, "
        f"theirs {theirs[1]} {sorted(set(theirs[2]) - set(mine[2]))}"
        for mine, theirs in zip(found["airdock"], found["docker"], strict=True)
        if mine != theirs
    ]
    assert not different, os.linesep.join(different)
