"""Where the files of a build come from: a folder, a git repository, an archive from the web or from standard input.

    DIR                         used as it is
    https://host/repo.git#ref:subdir, git@host:repo.git      fetched with git
    https://host/files.tar.gz   fetched and unpacked; a text is taken for the Dockerfile
    -                           standard input: an archive, or the Dockerfile

Rules: https://docs.docker.com/build/concepts/context/.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Final

from airdock.builder.access import git_header, http_header
from airdock.builder.archives import is_archive, open_archive
from airdock.builder.base import Context
from airdock.builder.remotes import is_remote, parse_remote, remote_host
from airdock.errors import BuildError
from airdock.images.trees import remove_tree
from airdock.images.unpack import Unpacker

__all__ = ["open_context"]

_LARGEST_TEXT: Final = 8 << 20
_CHUNK: Final = 1 << 20


def open_context(
    source: str,
    *,
    place: Path,
    stdin: BinaryIO | None = None,
    ssh: Mapping[str, str] | None = None,
    secrets: Mapping[str, bytes] | None = None,
    keep_git_dir: bool = False,
) -> Context:
    """Open what `source` says; `place` is a folder to be made for what has to be fetched. `ssh` and `secrets`
    (`access.py`) are as in the request. Raises `BuildError`.
    """
    if source == "-":
        if stdin is None:
            raise BuildError("expected a context that isn't standard input, found '-'")
        return _from_stdin(stdin, place)
    if is_remote(source):
        return _from_address(source, place, ssh or {}, secrets or {}, keep_git_dir=keep_git_dir)
    folder = Path(source)
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        hint = "give the folder, and the file with -f"
        raise BuildError(f"expected a folder with a Dockerfile, found {found}", where=source, hint=hint)
    return Context(folder=folder.absolute())


def _from_stdin(stdin: BinaryIO, place: Path) -> Context:
    place.mkdir(parents=True)
    spooled = place / "stdin"
    with spooled.open("wb") as file:
        shutil.copyfileobj(stdin, file, _CHUNK)
    return _from_file(spooled, place, "standard input")


def _from_address(
    source: str, place: Path, ssh: Mapping[str, str], secrets: Mapping[str, bytes], *, keep_git_dir: bool
) -> Context:
    remote = parse_remote(source)
    host = remote_host(remote.url)
    place.mkdir(parents=True)
    if remote.kind == "git":
        from airdock.builder.git import Git, fetch_git  # most builds fetch nothing

        git = Git(header=git_header(secrets, host), agent=ssh.get("default", ""))
        kept = parse_remote(source, keep_git_dir=True)
        folder = fetch_git(kept, place / "repository", git=git)
        top = place / "repository"
        time_s = int(git.run("log", "-1", "--format=%ct", folder=top).strip())
        if not (keep_git_dir or remote.keep_git_dir):
            remove_tree(top / ".git")
        return Context(folder=folder, time_s=time_s, is_own=True)
    from airdock.builder.download import download  # HTTP and TLS take longer to import than a cached build takes

    header = http_header(secrets, host)
    headers = {"Authorization": header} if header else {}
    found = download(remote.url, place / "fetched", headers=headers, checksum=remote.checksum)
    context = _from_file(place / "fetched", place, source)
    return Context(folder=context.folder, dockerfile=context.dockerfile, time_s=found.mtime_s, is_own=True)


def _from_file(file: Path, place: Path, name: str) -> Context:
    """An archive becomes a folder; what is none is a Dockerfile."""
    if not is_archive(os.open(file, os.O_RDONLY | os.O_CLOEXEC)):
        return Context(folder=None, dockerfile=_read_text(file, name))
    folder = place / "context"
    folder.mkdir()
    # Owners are nobody's business: what is copied from a context belongs to root, or to whom --chown says.
    with (
        open_archive(os.open(file, os.O_RDONLY | os.O_CLOEXEC)) as archive,
        Unpacker(folder, mapping="one") as unpacker,
    ):
        unpacker.unpack(archive)
    file.unlink()
    return Context(folder=folder, is_own=True)


def _read_text(file: Path, name: str) -> str:
    size = file.stat().st_size
    if size > _LARGEST_TEXT:
        raise BuildError(f"expected an archive or a Dockerfile, found {size:,} bytes of something else", where=name)
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BuildError("expected an archive or a Dockerfile, found neither", where=name) from error
