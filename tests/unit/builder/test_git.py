"""ADD of git repositories: which commit, which folder, and what is refused. Served by git itself on loopback."""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from airdock.builder.contexts import open_context
from airdock.builder.git import Git, fetch_git, find_commit
from airdock.builder.remotes import parse_remote
from airdock.errors import BuildError

pytestmark = pytest.mark.skipif(
    not shutil.which("git") or not Path("/usr/lib/git-core/git-daemon").exists(), reason="needs git with its daemon"
)
WHO = ["-c", "user.name=n", "-c", "user.email=e", "-c", "init.defaultBranch=main", "-c", "protocol.file.allow=always"]


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *WHO, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture(scope="module")
def commits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A repository with two commits, tags of both kinds and a submodule; the address is under "url"."""
    top = tmp_path_factory.mktemp("git")
    work = top / "work"
    work.mkdir()
    (work / "docs").mkdir()
    (work / "docs/a.txt").write_text("one")
    (work / "top.txt").write_text("top")
    (work / "out").symlink_to("/etc")
    git(work, "init", "-q")
    git(work, "add", ".")
    git(work, "commit", "-qm", "one")
    found = {"one": git(work, "rev-parse", "HEAD")}
    git(work, "tag", "v1")
    git(work, "tag", "-a", "v1a", "-m", "annotated")
    (work / "docs/a.txt").write_text("two")
    git(work, "commit", "-qam", "two")
    found["two"] = git(work, "rev-parse", "HEAD")
    git(top, "clone", "-q", "--bare", "work", "repo.git")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        ["git", "daemon", "--export-all", f"--base-path={top}", "--listen=127.0.0.1", f"--port={port}", top],
        stderr=subprocess.DEVNULL,
        process_group=0,
    )
    try:
        wait(port)
        yield {**found, "url": f"git://127.0.0.1:{port}/repo.git"}
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


def wait(port: int) -> None:
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("git's daemon doesn't answer")


@pytest.mark.parametrize(
    ("fragment", "commit", "text"),
    [
        ("", "two", "two"),
        ("#main", "two", "two"),
        ("#v1", "one", "one"),
        ("#v1a", "one", "one"),
        ("#refs/tags/v1", "one", "one"),
        ("?branch=main", "two", "two"),
        ("?tag=v1a", "one", "one"),
    ],
)
def test_references(commits: dict[str, str], tmp_path: Path, fragment: str, commit: str, text: str) -> None:
    source = parse_remote(commits["url"] + fragment)
    folder = fetch_git(source, tmp_path / "new", git=Git())
    assert (folder / "docs/a.txt").read_text() == text
    assert sorted(path.name for path in folder.iterdir()) == ["docs", "out", "top.txt"]
    assert find_commit(source, tmp_path, git=Git()) == commits[commit]


def test_commits_and_their_checksums(commits: dict[str, str], tmp_path: Path) -> None:
    url, one = commits["url"], commits["one"]
    assert (fetch_git(parse_remote(f"{url}#{one}:docs"), tmp_path / "a", git=Git()) / "a.txt").read_text() == "one"
    assert (fetch_git(parse_remote(f"{url}#{one[:10]}:docs"), tmp_path / "b", git=Git()) / "a.txt").read_text() == "one"
    fetch_git(parse_remote(f"{url}#v1", checksum=one[:12]), tmp_path / "c", git=Git())
    with pytest.raises(BuildError, match=f"expected the commit {one}.*found {commits['two']}"):
        fetch_git(parse_remote(f"{url}#main", checksum=one), tmp_path / "d", git=Git())
    assert not (tmp_path / "d").exists()


def test_the_repository_is_kept_when_asked(commits: dict[str, str], tmp_path: Path) -> None:
    folder = fetch_git(parse_remote(commits["url"], keep_git_dir=True), tmp_path / "new", git=Git())
    assert git(folder, "log", "--format=%s") == "two"
    assert git(folder, "status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("#none", "git fetch failed"),
        ("#v1:none", "expected a folder 'none'"),
        ("#v1:out", "expected a folder 'out'"),
        ("#v1:docs/a.txt", "expected a folder"),
    ],
)
def test_what_is_not_there(commits: dict[str, str], tmp_path: Path, address: str, message: str) -> None:
    with pytest.raises(BuildError, match=message):
        fetch_git(parse_remote(commits["url"] + address), tmp_path / "new", git=Git())


def test_no_programs_and_no_files_of_the_machine(tmp_path: Path) -> None:
    for url in ("ext::sh -c touch% /tmp/x", "file:///etc", "/etc", "fd::7"):
        with pytest.raises(BuildError, match=r"not allowed|failed"):
            Git().run("ls-remote", "--", url, folder=tmp_path)


def test_a_lack_of_git_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match="expected the program git") as raised:
        fetch_git(parse_remote("https://e.org/a.git"), tmp_path / "new", git=Git())
    assert raised.value.hint == "apt-get install git"


def test_a_known_commit_is_not_fetched_again(bench, commits: dict[str, str]) -> None:
    bench.base("base")
    text = f"FROM base\nADD --keep-git-dir=true {commits['url']} /o/\nADD {commits['url']}#v1:docs /d\n"
    first = bench.build(text)
    again = bench.build(text)
    assert again.digest == first.digest
    assert [cached for *_, cached in bench.ended] == [True, True, True]
    names = bench.entries(first.layers[1])
    assert {"o/top.txt", "o/.git/HEAD"} <= set(names)
    assert set(bench.entries(first.layers[2])) == {"d", "d/a.txt"}


def test_a_repository_as_the_context_of_a_build(commits: dict[str, str], tmp_path: Path) -> None:
    opened = open_context(f"{commits['url']}#v1:docs", place=tmp_path / "one")
    assert opened.folder is not None
    assert (opened.folder / "a.txt").read_text() == "one"
    assert opened.time_s is not None
    assert opened.is_own
    whole = open_context(commits["url"], place=tmp_path / "two")
    assert whole.folder is not None
    assert (whole.folder / "docs/a.txt").read_text() == "two"
    assert not (whole.folder / ".git").exists()
    kept = open_context(commits["url"], place=tmp_path / "three", keep_git_dir=True)
    assert kept.folder is not None
    assert (kept.folder / ".git").is_dir()
