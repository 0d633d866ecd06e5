"""A whole build that was done before, found without reading a Dockerfile's meaning or a file's bytes.

cache/whole/<key>     JSON: what it stood on, which cached steps it took, and the image it came to

The key covers the request; the record says what the context looked like: names, kinds, modes, sizes, inodes and both
times of every file. Nobody can change a file and keep the time of its last change (ctime), so equal looks mean equal
bytes, as long as that time was some ticks of the clock ago when the record was made: else there is no record.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from airdock.builder.base import BuildRequest
from airdock.builder.cache import keep_newest
from airdock.errors import AirdockError
from airdock.files import save_json
from airdock.images.image import Image
from airdock.images.store import ImageStore
from airdock.model.progress import BuildStep, Note, Report
from airdock.oci.digest import Digest

__all__ = ["Recall", "look"]

_VERSION: Final = 1
_SETTLED_NS: Final = 100_000_000
"""How old the last change of a file has to be so that a later one has another time for sure."""
_MOST_FILES: Final = 50_000
_MOST_RECORDS: Final = 200


class Recall:
    """What is remembered of one request. `cache` is the builder's folder."""

    def __init__(self, request: BuildRequest, *, cache: Path, store: ImageStore) -> None:
        self._request = request
        self._cache = cache
        self._store = store
        self._context: str | None = None
        self._is_sure = False

    def find(self, *, find: Callable[[str], Image], report: Report) -> Image | None:
        """The image of an equal build, tagged and told of as if it had been built, every step cached."""
        if not _may_recall(self._request):
            return None
        self._context, self._is_sure = look(self._request)
        try:
            known = json.loads(self._path.read_bytes())
            if known["context"] != self._context or self._context is None:
                return None
            if any(find(name).digest != digest for name, digest in known["bases"].items()):
                return None
            image = self._store.find(known["image"])
            for key in known["steps"]:
                os.utime(self._cache / key[:2] / key)  # one that was pruned is to be missed
            if not all(self._store.keep(layer) for layer in image.layers):
                return None
            for tag in self._request.tags:
                self._store.tag(tag, image.digest)
        except (OSError, ValueError, TypeError, KeyError, AttributeError, AirdockError):
            return None
        self._tell(known, report)
        return image

    def remember(
        self,
        image: Image,
        *,
        bases: Mapping[str, Digest],
        steps: Sequence[str],
        told: Sequence[str],
        notes: Sequence[str],
    ) -> None:
        """Remember a build that was done. `steps` are keys of the cache, `told` the texts of all steps."""
        if self._context is None or not self._is_sure:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        record = {
            "context": self._context,
            "bases": {name: str(digest) for name, digest in bases.items()},
            "image": str(image.digest),
            "steps": list(steps),
            "told": list(told),
            "notes": list(notes),
        }
        save_json(self._path, record, durable=False)
        keep_newest(self._path.parent, _MOST_RECORDS)

    @property
    def _path(self) -> Path:
        request = self._request
        named = [
            _VERSION,
            request.dockerfile,
            request.name,
            str(request.context),
            dict(request.args),
            request.target,
            request.network,
            dict(request.labels),
            dict(request.annotations),
            sorted(request.allow),
            request.check,
            None if request.platform is None else request.platform.to_json(),
        ]
        return self._cache / "whole" / hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()

    def _tell(self, known: Mapping[str, Any], report: Report) -> None:
        total = len(known["told"])
        for number, text in enumerate(known["told"], 1):
            for seconds in (None, 0.0):
                report(
                    BuildStep(
                        build=self._request.label,
                        number=number,
                        total=total,
                        text=text,
                        cached=seconds is not None,
                        seconds=seconds,
                    )
                )
        for note in known["notes"]:
            report(Note(line=note))


def _may_recall(request: BuildRequest) -> bool:
    anew = request.no_cache or request.no_cache_filter or request.explain or request.pull
    return not (
        anew
        or request.cache_from
        or request.cache_to
        or request.outputs
        or request.contexts
        or request.args.get("SOURCE_DATE_EPOCH") == "context"
    )


def look(request: BuildRequest, *, now_ns: Callable[[], int] = time.time_ns) -> tuple[str | None, bool]:
    """What the files that a build reads look like, and whether a later change is sure to make a difference.

    None where there are too many of them.
    """
    seen = hashlib.sha256()
    newest = 0
    count = 0
    beside = [f"{request.name}.dockerignore"]
    waiting = [str(request.context)] if request.context is not None else []
    try:
        for path in beside:
            if os.path.lexists(path):
                seen.update(Path(path).read_bytes())
        while waiting:
            folder = waiting.pop()
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
            for entry in found:
                status = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                newest = max(newest, status.st_ctime_ns)
                seen.update(
                    f"{entry.path}\0{status.st_mode} {status.st_size} {status.st_ino} {status.st_dev} "
                    f"{status.st_mtime_ns} {status.st_ctime_ns}\0".encode(errors="surrogateescape")
                )
                count += 1
            if count > _MOST_FILES:
                return None, False
    except OSError:
        return None, False
    return seen.hexdigest(), newest < now_ns() - _SETTLED_NS
