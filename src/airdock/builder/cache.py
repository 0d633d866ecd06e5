"""What was built before: by a key over all that went into a step, the layer that came out.

cache/
  <key's first two digits>/<key>    JSON: the layer's diff id and descriptor; missing and damaged files are misses
  whole/, inputs/                   what is remembered of whole builds (`recall.py`, `explain.py`)
  owners/                           who owns what in layers (`owners.py`), for accounts with one id
  .tmp-XXXXXXXX/                    working folder of a build
    lock                            held while that build goes on; what nobody holds is a leftover, and removed
    layer.tar
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from airdock.errors import AirdockError
from airdock.files import TEMPORARY_PREFIX, save_json
from airdock.images.image import Layer
from airdock.images.locks import hold_lock, take_lock
from airdock.images.store import ImageStore
from airdock.images.trees import remove_tree
from airdock.oci.descriptor import Descriptor
from airdock.oci.digest import Digest
from airdock.record import record

__all__ = ["BuildCache", "CachedStep", "keep_newest", "make_key"]

_VERSION: Final = 1
"""Part of every key: raised when the same inputs come to mean another layer."""


def make_key(kind: str, **inputs: Any) -> str:
    """The key of a step from all that decides what comes out of it, as JSON values."""
    text = json.dumps([_VERSION, kind, inputs], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


@record
class CachedStep:
    """A step that is remembered. `used` is when a build last took it, in seconds since the epoch."""

    key: str
    diff_id: Digest
    descriptor: Descriptor
    used: float


class BuildCache:
    """Steps and their layers in one folder; safe for several builds at once."""

    def __init__(self, *, folder: Path, store: ImageStore) -> None:
        self._folder = folder
        self._store = store

    @property
    def owners_folder(self) -> Path:
        """Where the owners of layers are remembered."""
        return self._folder / "owners"

    @property
    def mounts_folder(self) -> Path:
        """Where the folders of `RUN --mount=type=cache` are, beside the steps."""
        return self._folder.parent / "mounts"

    def load(self, key: str) -> Layer | None:
        """The layer of a step, kept by the store from now on; None where it is unknown or gone."""
        try:
            document = json.loads(self._path(key).read_bytes())
            layer = Layer(
                diff_id=Digest.parse(document["diff_id"]), descriptor=Descriptor.from_json(document["descriptor"])
            )
        except (OSError, ValueError, TypeError, KeyError, AttributeError, AirdockError):
            return None
        if not self._store.keep(layer):
            return None
        with suppress(FileNotFoundError):  # somebody forgets it at this very moment
            os.utime(self._path(key))  # what was used last goes last
        return layer

    def entries(self) -> list["CachedStep"]:
        """All steps that are remembered, the one unused for longest first."""
        found = []
        for path in self._folder.glob("[0-9a-f][0-9a-f]/[0-9a-f]*"):
            try:
                document = json.loads(path.read_bytes())
                step = CachedStep(
                    key=path.name,
                    diff_id=Digest.parse(document["diff_id"]),
                    descriptor=Descriptor.from_json(document["descriptor"]),
                    used=path.stat().st_mtime,
                )
            except (OSError, ValueError, TypeError, KeyError, AttributeError, AirdockError):
                continue
            found.append(step)
        return sorted(found, key=lambda step: (step.used, step.key))

    def forget(self, key: str) -> None:
        """Remember a step no longer; its layer goes when the store is pruned."""
        self._path(key).unlink(missing_ok=True)

    def save(self, key: str, layer: Layer) -> None:
        """Remember the layer of a step. Losing it costs a build, so nothing waits for the disk."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        save_json(path, {"diff_id": layer.diff_id, "descriptor": layer.descriptor.to_json()}, durable=False)

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / key

    @contextmanager
    def working_folder(self) -> Iterator[Path]:
        """A folder of its own for one build, gone afterwards; those of builds that were killed go first."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with hold_lock(self._folder / "lock"):  # or a build beside this one takes the new folder for a leftover
            for leftover in self._folder.glob(f"{TEMPORARY_PREFIX}*"):
                _remove_unless_held(leftover)
            folder = self._folder / f"{TEMPORARY_PREFIX}{os.urandom(8).hex()}"
            # Readable for others: commands that run under other ids see heredocs that are kept here.
            folder.mkdir(mode=0o755)
            lock = take_lock(folder / "lock")
            assert lock is not None
        try:
            yield folder
        finally:
            try:
                # Or a build that begins makes the lock's file anew, in a folder that is half gone.
                with hold_lock(self._folder / "lock"):
                    remove_tree(folder)
            finally:
                os.close(lock)


def keep_newest(folder: Path, count: int) -> None:
    """Remove all but the youngest records of a folder; losing one costs nothing but time."""
    records = [(entry.stat().st_mtime_ns, entry.path) for entry in os.scandir(folder) if entry.is_file()]
    for _, path in sorted(records)[:-count]:
        Path(path).unlink(missing_ok=True)


def _remove_unless_held(folder: Path) -> None:
    try:
        lock = take_lock(folder / "lock", wait=False)
    except OSError:
        return
    if lock is not None:
        remove_tree(folder)
        os.close(lock)
