"""The steps that one build may take as they are: what the cache has, and what the build itself made on its way.

Equal steps of one build are done once: the first one that asks does it while the others wait, also with `--no-cache`.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from airdock.builder.cache import BuildCache
from airdock.images.image import Layer

__all__ = ["Known"]


@dataclass(kw_only=True, slots=True)
class _Doing:
    """A step that somebody is at: how many want it, and the lock of whoever does it."""

    wanted: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Known:
    """Layers by key; safe for the threads of one build."""

    def __init__(self, cache: BuildCache) -> None:
        self._cache = cache
        self._made: dict[str, Layer] = {}
        self._doing: dict[str, _Doing] = {}
        self._lock = threading.Lock()
        self.used: dict[str, None] = {}
        """The keys of all steps that were taken or made."""

    @contextmanager
    def hold(self, key: str) -> Iterator[None]:
        """Nobody else of this build does the step meanwhile."""
        with self._lock:
            doing = self._doing.setdefault(key, _Doing())
            doing.wanted += 1
        try:
            with doing.lock:
                yield
        finally:
            with self._lock:
                doing.wanted -= 1
                if not doing.wanted:
                    del self._doing[key]

    def load(self, key: str, *, fresh: bool = False) -> Layer | None:
        """The layer of a step; with `fresh` only one that this build made."""
        made = self._made.get(key)
        found = made if made is not None or fresh else self._cache.load(key)
        if found is not None:
            self.used[key] = None
        return found

    def save(self, key: str, layer: Layer) -> None:
        """Remember what a step made."""
        self._made[key] = layer
        self.used[key] = None
        self._cache.save(key, layer)
