"""What images, containers and caches take on the disk, and getting it back without disturbing who is at work.

Everything goes through the locks and leases of its owner: an image, a layer or a cache that somebody uses stays,
whatever is asked.
"""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from airdock.builder.cache import BuildCache, CachedStep
from airdock.engine import HOST, Engine
from airdock.environments.aging import drop_downloads, is_environment, is_old_environment
from airdock.errors import ContainerError, UnknownImageError
from airdock.images.downloads import Downloads
from airdock.images.garbage import Pruned
from airdock.images.image import ImageRow, is_dangling
from airdock.images.locks import take_lock
from airdock.images.room import shrink
from airdock.oci.digest import Digest
from airdock.record import record

if TYPE_CHECKING:
    from airdock.containers.known import Known

__all__ = ["CacheRow", "Reclaim", "UsageRow", "VolumeRow"]

_PAUSE_S: Final = 3600
"""How long after one look at the caps the next is taken: a look reads all of the store."""


@record
class UsageRow:
    """One kind of thing: how many there are, how many are in use, their bytes, and the bytes that could go."""

    kind: str
    total: int
    active: int
    size: int
    reclaimable: int


@record
class VolumeRow:
    """One volume; `links` are the containers that have it."""

    name: str
    links: int
    size: int


@record
class CacheRow:
    """One cached step, or one folder of `RUN --mount=type=cache`. `size` is what nothing else needs."""

    id: str
    kind: str
    size: int
    used: datetime
    in_use: bool


class Reclaim:
    """The disk of one home folder. `cache` is Airdock's cache folder; caps are in bytes, None for none."""

    def __init__(
        self,
        *,
        engine: Engine,
        cache: Path,
        images_max: int | None = None,
        images_any: bool = False,
        cache_max: int | None = None,
        keep: timedelta = timedelta(days=30),
    ) -> None:
        self._engine = engine
        self._images = engine.images
        self._cache_folder = cache
        self._downloads = Downloads(root=engine.images.root)
        self._steps = BuildCache(folder=cache / "build", store=engine.images)
        self._images_max = images_max
        self._images_any = images_any
        self._cache_max = cache_max
        self._keep = keep

    # looking

    def usage(self) -> list[UsageRow]:
        """As `docker system df`: images, containers, volumes, build cache."""
        return [self._of_images(), self._of_containers(), self._of_volumes(), self._of_cache()]

    def users(self) -> Mapping[Digest, int]:
        """How many containers stand on an image, by its manifest's digest."""
        found: dict[Digest, int] = {}
        for known in self._engine.containers.list():
            digest = Digest(known.record.image_digest if known.record else known.state.image_digest)
            if digest:
                found[digest] = found.get(digest, 0) + 1
        return found

    def container_size(self, known: "Known") -> int:
        """Bytes that a container has written, its log included."""
        size: int = self._images.calls.call("airdock.images.unpack:measure_tree", {"path": str(known.folder / "upper")})
        return size + sum(path.stat().st_size for path in known.folder.glob("*.log*"))

    def cache_rows(self) -> list[CacheRow]:
        """Every cached step and every cache folder, the one unused for longest first."""
        needed, leased = self._needed(), self._images.leased()
        steps = [step for step in self._steps.entries() if self._images.has_blob(step.descriptor.digest)]
        rows = [self._step_row(step, needed, leased) for step in steps]
        rows += [self._mount_row(place) for place in self._mounts()]
        return sorted(rows, key=lambda row: row.used)

    def _of_images(self) -> UsageRow:
        rows = self._images.list()
        users = self.users()
        used = {row.digest for row in rows if _is_used(row, users)}
        everything = {row.digest for row in rows}
        size = self._images.room.measure(everything)
        broken_off, idle = self._downloads.size()
        return UsageRow(
            kind="Images",
            total=len(everything),
            active=len(used),
            size=size + broken_off,
            reclaimable=size - self._images.room.measure(used) + idle,
        )

    def _of_containers(self) -> UsageRow:
        found = self._engine.containers.list()
        sizes = {known.id: self.container_size(known) for known in found}
        return UsageRow(
            kind="Containers",
            total=len(found),
            active=sum(known.is_running for known in found),
            size=sum(sizes.values()),
            reclaimable=sum(sizes[known.id] for known in found if not known.is_running),
        )

    def volume_rows(self) -> list[VolumeRow]:
        """Every volume, and how many containers have it."""
        volumes = self._engine.volumes
        users = volumes.users()
        return [
            VolumeRow(name=one.name, links=len(users.get(one.name, ())), size=volumes.size(one))
            for one in volumes.list()
        ]

    def _of_volumes(self) -> UsageRow:
        rows = self.volume_rows()
        return UsageRow(
            kind="Local Volumes",
            total=len(rows),
            active=sum(row.links > 0 for row in rows),
            size=sum(row.size for row in rows),
            reclaimable=sum(row.size for row in rows if not row.links),
        )

    def _of_cache(self) -> UsageRow:
        rows = self.cache_rows()
        return UsageRow(
            kind="Build Cache",
            total=len(rows),
            active=sum(row.in_use for row in rows),
            size=sum(row.size for row in rows),
            reclaimable=sum(row.size for row in rows if not row.in_use),
        )

    def _needed(self) -> frozenset[Digest]:
        """The layers that images have."""
        found: set[Digest] = set()
        for row in self._images.list():
            for part in row.platforms:
                with suppress(UnknownImageError):  # it was removed since it was listed
                    found.update(layer.diff_id for layer in self._images.find(part.digest).layers)
        return frozenset(found)

    def _step_row(self, step: CachedStep, needed: frozenset[Digest], leased: frozenset[Digest]) -> CacheRow:
        in_use = step.diff_id in needed or step.diff_id in leased
        alone = step.diff_id not in needed
        size = step.descriptor.size + self._images.room.layer_size(step.diff_id, step.descriptor) if alone else 0
        used = datetime.fromtimestamp(step.used, UTC)
        return CacheRow(id=step.key, kind="step", size=size, used=used, in_use=in_use)

    def _mounts(self) -> list[Path]:
        """The folders of `RUN --mount=type=cache`."""
        return sorted(self._steps.mounts_folder.glob("*/*/*/data"))

    def _mount_row(self, data: Path) -> CacheRow:
        lock = take_lock(data.parent / "lock", wait=False)
        if lock is not None:
            os.close(lock)
        size = self._images.calls.call("airdock.images.unpack:measure_tree", {"path": str(data)})
        name = f"{data.parts[-3][:16]}/{data.parts[-2]}"
        used = datetime.fromtimestamp(data.with_name("lock").stat().st_mtime, UTC)
        return CacheRow(id=name, kind="mount", size=size, used=used, in_use=lock is None)

    # giving back

    def prune_images(self, *, unused: bool = False, passes: Callable[[ImageRow], bool] = lambda row: True) -> Pruned:
        """Remove images without a name, with `unused` all that no container stands on, of those that pass.

        Layers of cached steps stay.
        """
        users = self.users()

        def chosen(row: ImageRow) -> bool:
            return (is_dangling(row) or unused) and passes(row) and not _is_used(row, users)

        return self._images.prune(chosen, keep=self._cached())

    def prune_downloads(self, *, until: datetime | None = None) -> int:
        """Remove what came of blobs whose download broke off, before `until`; gives the bytes freed."""
        return self._downloads.drop(before=until.timestamp() if until else float("inf"))

    def prune_containers(self, passes: Callable[["Known"], bool] = lambda known: True) -> tuple[list[str], int]:
        """Remove containers that don't run, of those that pass; gives their ids and the bytes freed."""
        gone, freed = [], 0
        for known in self._engine.containers.list():
            if known.is_running or not passes(known):
                continue
            size = self.container_size(known)
            try:
                self._engine.remove(known.id)
            except ContainerError:
                continue  # it was started, or removed, meanwhile
            gone.append(known.id)
            freed += size
        return gone, freed

    def prune_cache(self, *, until: datetime | None = None, at_most: int | None = None, everything: bool = True) -> int:
        """Forget cached steps and empty cache folders, those unused for longest first; gives the bytes freed.

        `until` spares what was used since, `at_most` stops when so many bytes are left. Without `everything` the steps
        that images were made of stay: they take no room of their own.
        """
        rows = self.cache_rows()
        left = sum(row.size for row in rows)
        steps = {step.key: step for step in self._steps.entries()}
        for key in steps.keys() - {row.id for row in rows}:
            self._steps.forget(key)  # its layer went with an image
        freed = 0
        for row in rows:
            if at_most is not None and left <= at_most:
                break
            if (until is not None and row.used >= until) or (row.in_use and (row.kind == "mount" or not everything)):
                continue
            left -= row.size
            if row.kind == "step" and row.id in steps:
                self._steps.forget(row.id)
            elif row.kind == "mount":
                freed += self._empty(row)
        return freed + self._images.prune(lambda row: False, keep=self._cached()).freed

    def prune_environments(self) -> Pruned:
        """Remove environments, and what was downloaded for them, that nobody used for the days the settings say."""
        now = datetime.now(UTC)
        users = self.users()
        pruned = self._images.prune(
            lambda row: is_old_environment(row, now=now, age=self._keep) and not _is_used(row, users),
            keep=self._cached(),
        )
        return pruned + Pruned(freed=drop_downloads(self._cache_folder, age=self._keep))

    def trim(self, *, now: bool = False) -> Pruned:
        """Hold the caps of the settings, the least recently used first; looks once an hour unless told `now`."""
        if (self._images_max is None and self._cache_max is None) or not (now or self._is_due()):
            return Pruned()
        pruned = Pruned()
        if self._cache_max is not None:
            pruned += Pruned(freed=self.prune_cache(at_most=self._cache_max, everything=False))
        if self._images_max is not None:
            users = self.users()
            pruned += shrink(
                self._images,
                self._images_max,
                lambda row: self._may_go(row) and not _is_used(row, users),
                keep=self._cached(),
            )
        return pruned

    def _may_go(self, row: ImageRow) -> bool:
        """Images somebody named stay unless the setting says otherwise; the host image is made anew at once."""
        if row.repository == HOST:
            return False
        return self._images_any or is_dangling(row) or is_environment(row)

    def _cached(self) -> frozenset[Digest]:
        return frozenset(step.diff_id for step in self._steps.entries())

    def _is_due(self) -> bool:
        mark = self._cache_folder / "trimmed"
        try:
            if time.time() - mark.stat().st_mtime < _PAUSE_S:
                return False
        except FileNotFoundError:
            pass
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
        return True

    def _empty(self, row: CacheRow) -> int:
        """Empty a cache folder unless a build has it now."""
        for data in self._mounts():
            if f"{data.parts[-3][:16]}/{data.parts[-2]}" != row.id:
                continue
            lock = take_lock(data.parent / "lock", wait=False)
            if lock is None:
                return 0
            try:
                self._images.calls.call("airdock.images.unpack:remove_tree", {"path": str(data)})
            finally:
                os.close(lock)
            return row.size
        return 0


def _is_used(row: ImageRow, users: Mapping[Digest, int]) -> bool:
    return any(digest in users for digest in (row.digest, *(part.digest for part in row.platforms)))
