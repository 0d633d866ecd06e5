"""`container cp` and `diff` beside Docker's own engine: same image, same commands, same files at the end."""

import io
import os
import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from airdock.app import App
from airdock.cli.container_files import cp
from airdock.cli.session import Session
from airdock.errors import AirdockError

Account = Any
Docker = Callable[..., Any]
"""`conftest.Account` and `conftest.Docker`; conftest can't be imported by name."""

Engine = Callable[..., tuple[int, bytes]]
"""A command's exit code and output; `input` is its stdin."""

Copies = Callable[[Sequence[Sequence[str]]], list[int]]
"""The exit codes of many `container cp`, given by their arguments; none depends on another."""

SOURCES = ["file", "file/", "dir", "dir/", "dir/.", "link", "dirlink", "dirlink/", "dirlink/.", "broken", "missing"]
TARGETS = ["there", "there/", "new", "new/", "no/new", "onto", "onto/", "to-there", "to-there/", "to-file", "."]

FEW = ["file", "dir", "dir/.", "link"]
CASES = [
    *((flag, source, target) for flag in ("", "-L") for source in SOURCES for target in ("there", "new")),
    *(("", source, target) for source in FEW for target in TARGETS if target not in ("there", "new")),
]
OURS = {("", "dir/.", "to-there/")}
"""Docker's client fails to follow the link; a folder is what it is asked for, so we copy."""

_PROGRAMS = re.compile(
    r"\./(bin|lib|lib64|etc/(hostname|motd)|tmp|usr/lib64/?.*|usr/bin/(cat|chmod|dash|ln|mkdir|mv|rm|sh|touch)"
    r"|usr/lib/x86_64-linux-gnu/(ld-|lib(acl|attr|c|pcre2-8|selinux)\.so).*|usr/lib/(ld-|[^/]*/ld-).*)"
)
"""What of the base a script needs: with all of it, getting ready takes longer than the tests."""


@pytest.fixture(scope="module")
def engines(root_account: Account, docker: Docker, debian_base: Path) -> Iterator[dict[str, Engine]]:
    """Both, with a container of one image, which has a folder /c<number> for each case."""

    def mine(*argv: str, input: bytes | None = None) -> tuple[int, bytes]:
        done = root_account.airdock(
            *argv, input=None if input is None else input.decode("latin-1"), env={"PYTHONIOENCODING": "latin-1"}
        )
        return done.returncode, done.stdout.encode()

    def theirs(*argv: str, input: bytes | None = None) -> tuple[int, bytes]:
        done = docker(*argv, input=input, check=False)
        return done.returncode, done.stdout

    packed = root_account.home / "copying.tar"
    _make_image(debian_base, packed)
    made: dict[str, Engine] = {"airdock": mine, "docker": theirs}
    try:
        for name, engine in made.items():
            assert engine("image", "import", str(packed), "copying")[0] == 0
            code, _ = engine("container", "create", "--network=none", "--name", f"cp-{name}", "copying", "true")
            assert code == 0
        yield made
    finally:
        for name, engine in made.items():
            engine("container", "rm", "-f", f"cp-{name}")


def _make_image(base: Path, target: Path) -> None:
    """The tar of a root with a shell, the tree in /of, and a copy of that in /c<number> for each case."""
    tree = target.parent / "of"
    _make_tree(tree)
    os.utime(tree / "file", (981_158_400, 981_158_400))

    def own(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid, entry.gid = (7, 8) if entry.name.endswith("dir/a") else (0, 0)
        return entry

    with tarfile.open(base) as source, tarfile.open(target, "w") as tar:
        for entry in source:
            if _PROGRAMS.fullmatch(entry.name):
                tar.addfile(entry, source.extractfile(entry) if entry.isreg() else None)
        for name in ("of", *(f"c{number}" for number in range(len(CASES)))):
            tar.add(tree, name, filter=own)


class _Shared(Session):
    """Commands in one process, over one app."""

    def __init__(self, app: App) -> None:
        super().__init__()
        self._app = app

    @contextmanager
    def app(self, flags: object = None) -> Iterator[App]:
        yield self._app


@pytest.fixture(scope="module")
def copies(engines: dict[str, Engine], root_account: Account) -> Iterator[dict[str, Copies]]:
    """Both engines' `cp`, without a process of ours for each: there are two hundred."""
    session = Session()
    session.home = str(root_account.home / ".airdock")
    with session.app() as app, ThreadPoolExecutor(2) as pool:
        shared = _Shared(app)

        def mine(argv: Sequence[str]) -> int:
            try:
                cp.main(["-q", *argv], obj=shared, standalone_mode=False)
            except AirdockError as error:
                return error.exit_code
            return 0

        yield {
            "airdock": lambda cases: [mine(argv) for argv in cases],
            "docker": lambda cases: list(pool.map(lambda argv: engines["docker"]("container", "cp", *argv)[0], cases)),
        }


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
    """What /of has in the image, but for owners and times."""
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


def test_what_comes_out(copies: dict[str, Copies], tmp_path: Path) -> None:
    found: dict[str, list[Any]] = {}
    for name, copy in copies.items():
        roots = [tmp_path / name / str(number) for number in range(len(CASES))]
        for root in roots:
            _make_tree(root)
        codes = copy(
            [
                (*flag.split(), f"cp-{name}:/of/{source}", f"{root}/{target}")
                for root, (flag, source, target) in zip(roots, CASES, strict=True)
            ]
        )
        for case, code, root in zip(CASES, codes, roots, strict=True):
            if case in OURS:
                assert (name, code) in (("airdock", 0), ("docker", 1))
                continue
            found.setdefault(name, []).append((" ".join(case), code, _listed(root)))
    _compare(found)


def test_what_goes_in(copies: dict[str, Copies], engines: dict[str, Engine], tmp_path: Path) -> None:
    found: dict[str, list[Any]] = {}
    _make_tree(tmp_path / "of")
    for name, engine in engines.items():
        codes = copies[name](
            [
                (*flag.split(), f"{tmp_path}/of/{source}", f"cp-{name}:/c{number}/{target}")
                for number, (flag, source, target) in enumerate(CASES)
            ]
        )
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
        found[name] += [
            (f"export {top}", 0, sorted(listed.get(top, ()))) for top in ("bin", "lib64", "of", "tmp", "usr")
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
