"""`RUN --mount`, done: what one command is given for its time, made before and cleared away after.

cache/mounts/<mapping>/<key of the cache>/
  <number>/       0, or more where builds at once want one each (`sharing=private`)
    lock          held while a command has the folder; shared, unless only one may have it at a time
    data          what the command sees
"""

import base64
import contextlib
import hashlib
import itertools
import os
import select
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from airdock.builder.base import BuildRequest
from airdock.builder.cancel import Cancel
from airdock.builder.steps import RunMount
from airdock.errors import BuildError
from airdock.images.locks import hold_lock, take_lock
from airdock.model.mount import Mount, StackMount

__all__ = ["Given", "Mounting"]

_FILES: Final = "airdock.builder.mount_files"
_LARGEST_SECRET: Final = 500 << 10
"""In bytes, as with BuildKit."""
_PAUSE_S: Final = 0.1


@dataclass(kw_only=True, slots=True)
class Given:
    """What a command gets beside its root. Nothing of it is in the layer, the history or the key of the step."""

    mounts: list[Mount] = field(default_factory=list)
    stacks: list[StackMount] = field(default_factory=list)
    tmpfs: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    caches: dict[Path, Path] = field(default_factory=dict)
    """What the command has of each cache, which it may see at several places."""


@dataclass(frozen=True, kw_only=True)
class Mounting:
    """The mounts of one build's commands. `caches` is the folder of its caches, `folder` the build's own.

    `call` runs a function under the account's id mapping. `source` gives a context (None) or a stage as
    `copying.copy_files` takes it, `identity` what names a stage's or image's files: its layers.
    """

    request: BuildRequest
    folder: Path
    caches: Path
    mapping: str
    time_s: int
    call: Callable[[str, Mapping[str, Any]], Any]
    source: Callable[[int | str | None], Mapping[str, Any]]
    identity: Callable[[int | str], Sequence[str]]
    cancel: Cancel

    def describe(self, mounts: Sequence[RunMount]) -> list[Any]:
        """What of the mounts decides what a command does, as JSON values: no secrets, no caches' content."""
        return [self._describe(mount) for mount in mounts]

    def _describe(self, mount: RunMount) -> list[Any]:
        settings = [mount.kind, mount.target, mount.read_only, mount.mode, mount.uid, mount.gid]
        if mount.kind == "bind":
            return [*settings, mount.source, self._content(mount)]
        return [*settings, mount.id, mount.env, mount.sharing, mount.size_bytes, mount.required]

    def _content(self, mount: RunMount) -> Any:
        if mount.from_ is not None:
            return list(self.identity(mount.from_))
        return self._find(mount)["key"]

    def _find(self, mount: RunMount) -> dict[str, str]:
        arguments = {"source": self.source(mount.from_), "path": mount.source, "time_s": self.time_s}
        found: dict[str, str] = self.call(f"{_FILES}:find_in_source", arguments)
        return found

    @contextlib.contextmanager
    def open(self, mounts: Sequence[RunMount]) -> Iterator[Given]:
        """Make all of it, and clear away what is only for one command. Raises `BuildError`, or `BuildCancelledError`
        where a cache isn't to be had before the build is broken off."""
        given = Given()
        with ExitStack() as stack:
            # Caches in one order: two commands that want the same two don't wait for each other.
            for mount in sorted(mounts, key=lambda mount: self._cache_key(mount) if mount.kind == "cache" else ""):
                _OPEN[mount.kind](self, mount, given, stack)
            yield given

    def _bind(self, mount: RunMount, given: Given, stack: ExitStack) -> None:
        found = self._find(mount)
        if mount.from_ is not None:
            layers = tuple(self.source(mount.from_)["folders"])
        else:
            layers = (str(self._fill(mount, found)),)
        given.stacks.append(
            StackMount(layers=layers, path=found["path"], target=mount.target, read_only=mount.read_only)
        )

    def _fill(self, mount: RunMount, found: Mapping[str, str]) -> Path:
        """A folder with the part of the context that is bound: without what is ignored, and all of it root's."""
        target = self.folder / f"context-{found['key']}"
        with hold_lock(self.folder / f"context-{found['key']}.lock"):
            if not target.is_dir():
                self.call(f"{_FILES}:fill_folder", {**self._seed(mount, found["path"]), "target": str(target)})
        return target

    def _seed(self, mount: RunMount, path: str) -> dict[str, Any]:
        return {
            "source": self.source(mount.from_),
            "path": path,
            "time_s": self.time_s,
            "tar": str(self.folder / f"mount-{os.urandom(8).hex()}.tar"),
            "mapping": self.mapping,
        }

    def _cache(self, mount: RunMount, given: Given, stack: ExitStack) -> None:
        folder = self.caches / self.mapping / self._cache_key(mount)
        if folder not in given.caches:
            given.caches[folder] = self._claim(folder, mount.sharing, stack)
        data = given.caches[folder] / "data"
        if not data.is_dir():
            seed = self._seed(mount, self._find(mount)["path"]) if mount.from_ is not None else None
            mode = 0o755 if mount.mode is None else mount.mode
            owner = {"uid": mount.uid or 0, "gid": mount.gid or 0}
            with hold_lock(data.parent / "making"):
                self.call(f"{_FILES}:make_cache", {"folder": str(data), "mode": mode, "seed": seed, **owner})
        given.mounts.append(Mount(source=str(data), target=mount.target, read_only=mount.read_only))

    def _cache_key(self, mount: RunMount) -> str:
        # As with BuildKit, folders that begin with another mode or owner are other caches.
        begin = f"{mount.mode} {mount.uid} {mount.gid}"
        named = [self.request.args.get("BUILDKIT_CACHE_MOUNT_NS", ""), mount.id, begin]
        if mount.from_ is not None:
            named += [mount.source, *self.identity(mount.from_)]
        return hashlib.sha256("\0".join(named).encode()).hexdigest()

    def _claim(self, folder: Path, sharing: str, stack: ExitStack) -> Path:
        """A folder that may be used now, held until the command has ended."""
        for number in itertools.count():
            place = folder / str(number)
            place.mkdir(mode=0o755, parents=True, exist_ok=True)
            lock = take_lock(place / "lock", wait=False, shared=sharing == "shared")
            while lock is None and sharing != "private":
                # Nothing tells when a lock is given up and when the build is broken off, whichever comes first.
                select.select([self.cancel], [], [], _PAUSE_S)
                self.cancel.check()
                lock = take_lock(place / "lock", wait=False, shared=sharing == "shared")
            if lock is not None:
                stack.callback(os.close, lock)
                os.utime(lock)  # when it was used: what is in the folder doesn't tell
                return place
        raise AssertionError("unreachable")

    def _tmpfs(self, mount: RunMount, given: Given, stack: ExitStack) -> None:
        given.tmpfs.append(f"{mount.target}:size={mount.size_bytes}" if mount.size_bytes else mount.target)

    def _secret(self, mount: RunMount, given: Given, stack: ExitStack) -> None:
        value = self.request.secrets.get(mount.id)
        if value is None:
            if mount.required:
                raise BuildError(
                    f"expected the secret {mount.id!r}, which this step requires, found none",
                    hint=f"give it with --secret id={mount.id},src=FILE or --secret id={mount.id},env=NAME",
                )
            return
        if len(value) > _LARGEST_SECRET:
            raise BuildError(f"expected a secret of at most 500 KiB, found {mount.id!r} with {len(value):,} bytes")
        if mount.env:
            given.env[mount.env] = value.decode(errors="surrogateescape")
        if not mount.target:
            return
        path = self._place(stack) / "secret"
        arguments = {"path": str(path), "data": base64.b64encode(value).decode(), **_access(mount, 0o400)}
        self.call(f"{_FILES}:write_secret", arguments)
        stack.callback(path.unlink, missing_ok=True)
        given.mounts.append(Mount(source=str(path), target=mount.target))

    def _ssh(self, mount: RunMount, given: Given, stack: ExitStack) -> None:
        agent = self.request.ssh.get(mount.id)
        if agent is None:
            if mount.required:
                raise BuildError(
                    f"expected the agent {mount.id!r}, which this step requires, found none",
                    hint=f"start an ssh-agent, and give it with --ssh {mount.id}",
                )
            return
        from airdock.builder.agents import forward_agent  # sockets and selectors, for few builds

        path = self._place(stack) / "agent"
        try:
            stack.enter_context(forward_agent(path, agent))
        except OSError as error:
            raise BuildError(
                f"expected an agent that listens at {agent}, found: {error.strerror}", hint="start it with ssh-agent"
            ) from error
        self.call(f"{_FILES}:give", {"path": str(path), **_access(mount, 0o600)})
        given.mounts.append(Mount(source=str(path), target=mount.target, read_only=False))
        given.env.setdefault("SSH_AUTH_SOCK", mount.target)

    def _place(self, stack: ExitStack) -> Path:
        place = self.folder / f"mount-{os.urandom(8).hex()}"
        place.mkdir(mode=0o700)
        stack.callback(place.rmdir)
        return place


def _access(mount: RunMount, mode: int) -> dict[str, int]:
    return {"mode": mode if mount.mode is None else mount.mode, "uid": mount.uid or 0, "gid": mount.gid or 0}


_OPEN: Final[dict[str, Callable[[Mounting, RunMount, Given, ExitStack], None]]] = {
    "bind": Mounting._bind,
    "cache": Mounting._cache,
    "tmpfs": Mounting._tmpfs,
    "secret": Mounting._secret,
    "ssh": Mounting._ssh,
}
