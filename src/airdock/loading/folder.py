"""What a DAG folder holds: the files that may define DAGs, each with a digest of its text."""

import hashlib
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from airdock.loading.ignore import IGNORE_FILE, Ignore
from airdock.record import record

__all__ = ["DagFile", "DagFolder", "is_dag_text"]

_MOST_BYTES: Final = 16 << 20
"""A Python file of this size is no DAG file."""
_TICK_NS: Final = 100_000_000
"""A file that was written this lately may be written again without its time changing: kernels count in ticks."""
_SKIPPED: Final = frozenset({"__pycache__", "node_modules", "plugins"})


@record
class DagFile:
    """A file that may define DAGs. `digest` is sha256 of its text."""

    path: Path
    digest: str


def is_dag_text(text: bytes) -> bool:
    """Whether it has "dag", and "airflow" or "airdock", in any case."""
    text = text.lower()
    return b"dag" in text and (b"airflow" in text or b"airdock" in text)


class DagFolder:
    """Looks through a folder; a file whose inode, size and time stay the same isn't read again."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[Path, tuple[tuple[int, int, int], DagFile | None]] = {}
        self.folders: frozenset[Path] = frozenset()
        """Those that were looked through the last time."""

    def scan(self) -> dict[Path, DagFile]:
        """Every DAG file by its path. What can't be read is left out, as is what goes away meanwhile."""
        folders: set[Path] = set()
        found = {file.path: file for file in self._scan(self.root, Ignore(), folders, frozenset())}
        self.folders = frozenset(folders)
        return found

    def _scan(
        self, folder: Path, ignore: Ignore, folders: set[Path], above: frozenset[tuple[int, int]]
    ) -> Iterator[DagFile]:
        try:
            status = folder.stat()
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            return
        identity = (status.st_dev, status.st_ino)
        if identity in above:  # a link that leads back up
            return
        folders.add(folder)
        place = PurePosixPath(folder.relative_to(self.root))
        if any(entry.name == IGNORE_FILE for entry in entries):
            ignore = ignore.below(place, _read_text(folder / IGNORE_FILE))
        for entry in entries:
            is_folder = _is_folder(entry)
            if ignore.is_ignored(place / entry.name, is_folder=is_folder):
                continue
            if is_folder and not entry.name.startswith(".") and entry.name not in _SKIPPED:
                yield from self._scan(Path(entry.path), ignore, folders, above | {identity})
            elif not is_folder and entry.name.endswith(".py") and (file := self._look(Path(entry.path))) is not None:
                yield file

    def _look(self, path: Path) -> DagFile | None:
        try:
            status = path.stat()
            stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
            known = self._known.get(path)
            if known is not None and known[0] == stamp:
                return known[1]
            if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES:
                return None
            is_settled = time.time_ns() - status.st_mtime_ns > _TICK_NS
            text = path.read_bytes()
        except OSError:
            self._known.pop(path, None)
            return None
        found = None
        if is_dag_text(text):
            found = DagFile(path=path, digest="sha256:" + hashlib.sha256(text).hexdigest())
        if is_settled:
            self._known[path] = (stamp, found)
        return found


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
