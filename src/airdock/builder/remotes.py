"""Addresses that ADD and contexts take: files of web servers, and folders of git repositories.

    https://example.org/a.tgz                 a file
    https://example.org/a.git#v1:docs         the folder docs of the tag or branch v1
    https://example.org/a.git?tag=v1&subdir=docs
    git@example.org:a.git                     over ssh, as ssh:// and git:// are

Rules: https://docs.docker.com/build/concepts/context/#git-repositories.
"""

import posixpath
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from airdock.builder.steps import RemoteSource
from airdock.errors import DockerfileError

__all__ = ["is_remote", "parse_remote", "remote_host"]

_SCHEMES: Final = frozenset({"http", "https", "git", "ssh"})
_SCP: Final = re.compile(r"(?:[\w.+-]+@)[\w.-]+:(?!//)\S+")
_GIT_PATH: Final = re.compile(r"\.git/?$")
_COMMIT: Final = re.compile(r"[0-9a-f]{7,64}")
_SHA256: Final = re.compile(r"sha256:[0-9a-f]{64}")
_QUERY: Final = {"ref": "", "branch": "refs/heads/", "tag": "refs/tags/"}
_KNOWN: Final = frozenset({*_QUERY, "commit", "checksum", "subdir", "keep-git-dir", "submodules"})


def is_remote(text: str) -> bool:
    """Whether a source is an address rather than a path."""
    return _SCP.fullmatch(text) is not None or re.match(r"[a-z][a-z0-9+.-]*://", text, re.IGNORECASE) is not None


def parse_remote(text: str, *, checksum: str = "", keep_git_dir: bool | None = None) -> RemoteSource:
    """What to fetch from an address. Raises `DockerfileError`."""
    if _SCP.fullmatch(text):
        address, _, fragment = text.partition("#")
        found = _with_fragment(RemoteSource(kind="git", url=address), fragment)
    else:
        found = _parse_url(text)
    if found.kind == "git":
        if checksum and found.checksum and not found.checksum.startswith(checksum):
            raise DockerfileError(f"expected one commit, found {checksum} and {found.checksum} in {text!r}")
        checksum = checksum or found.checksum
        if checksum and not _COMMIT.fullmatch(checksum):
            raise DockerfileError(f"expected --checksum of a git address to be a commit's id, found {checksum!r}")
        _check_ref(found)
        keep = found.keep_git_dir if keep_git_dir is None else keep_git_dir
        return replace(found, checksum=checksum, keep_git_dir=keep)
    if keep_git_dir:
        raise DockerfileError(f"expected --keep-git-dir with a git address, found {text!r}")
    if checksum and not _SHA256.fullmatch(checksum):
        raise DockerfileError(f"expected --checksum to be sha256: and 64 hexadecimal digits, found {checksum!r}")
    return replace(found, checksum=checksum)


def remote_host(url: str) -> str:
    """The host of an address, without its port."""
    if _SCP.fullmatch(url):
        return url.partition(":")[0].rpartition("@")[2]
    from urllib.parse import urlsplit  # most Dockerfiles have no addresses, and it takes milliseconds

    return urlsplit(url).hostname or ""


def _parse_url(text: str) -> RemoteSource:
    from urllib.parse import unquote, urlsplit, urlunsplit

    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise DockerfileError(f"expected an address, found {text!r}: {error}") from error
    scheme = parts.scheme.lower()
    if scheme not in _SCHEMES or not host:
        raise DockerfileError(f"expected an address with http, https, git or ssh, found {text!r}")
    if scheme in ("git", "ssh") or _GIT_PATH.search(parts.path):
        address = urlunsplit(parts._replace(query="", fragment=""))
        source = RemoteSource(kind="git", url=address)
        return _with_query(source, parts.query) if parts.query else _with_fragment(source, unquote(parts.fragment))
    name = posixpath.basename(unquote(parts.path))
    return RemoteSource(kind="http", url=urlunsplit(parts._replace(fragment="")), name=name)


def _with_fragment(source: RemoteSource, fragment: str) -> RemoteSource:
    ref, _, folder = fragment.partition(":")
    return replace(source, ref=ref, folder=_clean(folder))


def _with_query(source: RemoteSource, query: str) -> RemoteSource:
    from urllib.parse import parse_qs

    values: Mapping[str, list[str]] = parse_qs(query, keep_blank_values=True)
    unknown = sorted(set(values) - _KNOWN)
    if unknown:
        raise DockerfileError(
            f"unexpected {unknown[0]!r} in a git address: expected one of {', '.join(sorted(_KNOWN))}"
        )
    refs = [prefix + values[key][0] for key, prefix in _QUERY.items() if key in values]
    if len(refs) > 1:
        raise DockerfileError(f"expected one of ref, branch and tag in a git address, found {query!r}")
    commit = (values.get("checksum") or values.get("commit") or [""])[0]
    keep = (values.get("keep-git-dir") or ["false"])[0].lower() in ("", "1", "true")
    return replace(
        source,
        ref=refs[0] if refs else commit,
        folder=_clean((values.get("subdir") or [""])[0]),
        checksum=commit,
        keep_git_dir=keep,
    )


def _clean(folder: str) -> str:
    return posixpath.normpath(f"/{folder}").lstrip("/")


def _check_ref(source: RemoteSource) -> None:
    if source.ref.startswith("-") or source.url.startswith("-") or re.search(r"[\s\x00-\x1f]", source.ref):
        raise DockerfileError(f"expected a branch, tag or commit of a git repository, found {source.ref!r}")
