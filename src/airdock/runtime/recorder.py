"""The twin of `syscalls`: does nothing, writes down what was asked for, and fails where it's told to.

It has a small idea of files, so that steps which look before they make something can be followed. With it a plan is
tested as a list of calls, without rights, and the ways around what an older kernel lacks are forced.
"""

import errno
import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final

from airdock.runtime.syscalls import Syscalls

__all__ = ["Call", "Recorder"]

Call = tuple[Any, ...]
"""Name and arguments of a call; keyword arguments follow as (name, value) pairs."""

_MAKE_DESCRIPTORS: Final = frozenset({"new_mount", "open_path", "open_tree", "open_without_magic", "signalfd"})
_FIRST_DESCRIPTOR: Final = 100


class Recorder(Syscalls):
    """Records calls in `calls`. `failures` maps a call's name to the errno it fails with, or to a function of its
    arguments that gives one (0 lets it be); `folders`, `files` and `links` are what is there."""

    def __init__(
        self,
        *,
        failures: Mapping[str, int | Callable[..., int]] | None = None,
        folders: Iterable[str] = ("/",),
        files: Iterable[str] = (),
        links: Iterable[str] = (),
        read_only: bool = False,
    ) -> None:
        self._state = _State(dict(failures or {}), {"/", *folders}, set(files), set(links), read_only)

    @property
    def calls(self) -> list[Call]:
        return self._state.calls

    def names(self) -> list[str]:
        """The names of the calls, in order."""
        return [call[0] for call in self._state.calls]

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("_") or name not in Syscalls.__dict__:
            return super().__getattribute__(name)
        return partial(self._state.record, name)


class _State:
    def __init__(
        self,
        failures: dict[str, int | Callable[..., int]],
        folders: set[str],
        files: set[str],
        links: set[str],
        read_only: bool,
    ) -> None:
        self.calls: list[Call] = []
        self.failures = failures
        self.folders, self.files, self.links = folders, files, links
        self.read_only = read_only
        self.descriptor = _FIRST_DESCRIPTOR
        self.files_by_descriptor: dict[int, str] = {}

    def record(self, name: str, *arguments: Any, **options: Any) -> Any:
        self.calls.append((name, *arguments, *options.items()))
        failure = self.failures.get(name, 0)
        code = failure(*arguments, **options) if callable(failure) else failure
        if code:
            raise OSError(code, os.strerror(code), name)
        if name in _MAKE_DESCRIPTORS:
            self.descriptor += 1
            self.files_by_descriptor[self.descriptor] = str(arguments[0])
            return self.descriptor
        answer = getattr(self, f"on_{name}", None)
        return answer(*arguments, **options) if answer else None

    def on_kind(self, path: str) -> str:
        return "folder" if path in self.folders else "file" if path in self.files else ""

    def on_is_link(self, path: str) -> bool:
        return path in self.links

    def on_is_folder(self, descriptor: int) -> bool:
        return self.files_by_descriptor.get(descriptor, "") not in self.files

    def on_is_read_only(self, tree: int) -> bool:
        return self.read_only

    def on_make_folder(self, path: str, mode: int = 0o755) -> None:
        self._free(path)
        self.folders.add(path)

    def on_make_file(self, path: str) -> None:
        self._free(path)
        self.files.add(path)

    def on_make_link(self, target: str, path: str) -> None:
        self._free(path)
        self.links.add(path)

    def on_remove_link(self, path: str) -> None:
        self.links.discard(path)

    def on_remove_folder(self, path: str) -> None:
        self.folders.discard(path)

    def on_times(self, path: str) -> tuple[int, int]:
        return (0, 0)

    def on_identity(self, path: str) -> tuple[int, int]:
        """Everything lies on one device; a path keeps its inode."""
        return (1, sum(path.encode()))

    def on_clone(self, flags: int) -> tuple[int, int]:
        self.descriptor += 1
        return (4_000_000, self.descriptor)

    def on_fork(self) -> int:
        return 4_000_001

    def on_open_terminal(self, devpts: str) -> tuple[int, int]:
        self.descriptor += 2
        return (self.descriptor - 1, self.descriptor)

    def _free(self, path: str) -> None:
        if path in self.folders | self.files | self.links:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
