"""One commit of a git repository as a folder, through the `git` program."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from airdock.builder.access import git_hint
from airdock.builder.steps import RemoteSource
from airdock.errors import BuildError
from airdock.images.trees import remove_tree
from airdock.record import record

__all__ = ["Git", "fetch_git", "find_commit"]

_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REFUSED: Final = re.compile(r"could not read Username|Authentication failed|Permission denied|\b40[13]\b")
"""What git says of servers that want to know who asks."""
_TIMEOUT_S: Final = 1800
_SETTINGS: Final = {
    "advice.detachedHead": "false",
    "core.autocrlf": "false",
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "fetch.fsckObjects": "true",
    "init.defaultBranch": "main",
    "protocol.allow": "never",
    "protocol.http.allow": "always",
    "protocol.https.allow": "always",
    "protocol.git.allow": "always",
    "protocol.ssh.allow": "always",
}
"""No file of the machine and no program is reached by an address, also not by one of a submodule."""


@record
class Git:
    """How repositories are reached. `header` is sent to web servers as Authorization, `agent` is an ssh agent's socket.

    Neither is seen by anybody else: they go by environment, not by command line.
    """

    header: str = ""
    agent: str = ""

    def environment(self) -> dict[str, str]:
        settings = {**_SETTINGS, **({"http.extraHeader": f"Authorization: {self.header}"} if self.header else {})}
        kept = {
            name: value
            for name, value in os.environ.items()
            if name in ("PATH", "HOME", "LANG") or name.lower().endswith("_proxy") or "CERT" in name or "SSL" in name
        }
        counted = {
            key: text
            for number, (name, value) in enumerate(settings.items())
            for key, text in ((f"GIT_CONFIG_KEY_{number}", name), (f"GIT_CONFIG_VALUE_{number}", value))
        }
        return {
            **kept,
            **counted,
            "GIT_CONFIG_COUNT": str(len(settings)),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o StrictHostKeyChecking=accept-new",
            **({"SSH_AUTH_SOCK": self.agent} if self.agent else {}),
        }

    def run(self, *arguments: str, folder: Path) -> str:
        """What a git command prints. Raises `BuildError` with what it said."""
        program = shutil.which("git")
        if program is None:
            raise BuildError("expected the program git to fetch a repository, found none", hint="apt-get install git")
        try:
            done = subprocess.run(
                [program, *arguments],
                cwd=folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TIMEOUT_S,
            )
        except subprocess.TimeoutExpired as error:
            raise BuildError(f"expected git {arguments[0]} to end within {_TIMEOUT_S // 60} minutes") from error
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()
            hint = git_hint() if _REFUSED.search(said) else ""
            raise BuildError(f"git {arguments[0]} failed: {said[-2000:] or f'exit code {done.returncode}'}", hint=hint)
        return done.stdout.decode(errors="replace")


def fetch_git(source: RemoteSource, target: Path, *, git: Git) -> Path:
    """Check a commit out into the new folder `target`, submodules included; gives the folder that the source names.

    Raises `BuildError` where git isn't installed, can't reach the repository, or finds another commit than `checksum`.
    """
    target.mkdir()
    try:
        git.run("init", "--quiet", folder=target)
        git.run("remote", "add", "origin", source.url, folder=target)
        commit = _fetch(source, target, git)
        if source.checksum and not commit.startswith(source.checksum):
            raise BuildError(f"expected the commit {source.checksum} at {_shown(source)}, found {commit}")
        git.run("checkout", "--quiet", "--force", "FETCH_HEAD", folder=target)
        if (target / ".gitmodules").is_file():
            git.run("submodule", "update", "--init", "--recursive", "--depth=1", "--quiet", folder=target)
        if not source.keep_git_dir:
            _remove_git(target)
    except BaseException:
        remove_tree(target)
        raise
    return _folder_of(source, target)


def find_commit(source: RemoteSource, folder: Path, *, git: Git) -> str:
    """The id of the commit that a source means now, "" where the repository doesn't say without being fetched.

    `folder` is any to be in. Raises `BuildError` where git isn't installed or can't reach the repository.
    """
    if _COMMIT.fullmatch(source.ref):
        return source.ref
    wanted = source.ref or "HEAD"
    listed = git.run("ls-remote", "--", source.url, wanted, f"{wanted}^{{}}", folder=folder)
    found = {name: commit for commit, _, name in (line.partition("\t") for line in listed.splitlines())}
    for name in (wanted, f"refs/{wanted}", f"refs/tags/{wanted}", f"refs/heads/{wanted}"):
        if name in found:
            return found.get(f"{name}^{{}}", found[name])
    return ""


def _fetch(source: RemoteSource, target: Path, git: Git) -> str:
    """Fetch the commit; gives its id. Some servers refuse single commits: then all branches are fetched."""
    wanted = source.ref or "HEAD"
    for depth in (("--depth=1",), ()):
        try:
            git.run("fetch", "--quiet", "--no-tags", *depth, "origin", wanted, folder=target)
            break
        except BuildError:
            if not (depth or re.fullmatch(r"[0-9a-f]{7,64}", wanted)):
                raise
    else:
        git.run("fetch", "--quiet", "--tags", "origin", "+refs/heads/*:refs/remotes/origin/*", folder=target)
        found = git.run("rev-parse", "--verify", "--end-of-options", f"{wanted}^{{commit}}", folder=target).strip()
        (target / ".git" / "FETCH_HEAD").write_text(f"{found}\n")
    return git.run("rev-parse", "--verify", "FETCH_HEAD^{commit}", folder=target).strip()


def _remove_git(target: Path) -> None:
    for folder, folders, files in os.walk(target):
        if ".git" in (*folders, *files):
            remove_tree(Path(folder, ".git"))
            if ".git" in folders:
                folders.remove(".git")


def _folder_of(source: RemoteSource, target: Path) -> Path:
    """The folder inside that is meant, which may not be a link that leads out."""
    folder = target / source.folder
    if not folder.is_dir() or not folder.resolve().is_relative_to(target.resolve()):
        raise BuildError(f"expected a folder {source.folder!r} in {_shown(source)}, found none")
    return folder


def _shown(source: RemoteSource) -> str:
    return f"{source.url}#{source.ref}" if source.ref else source.url
