"""The slots of pools and executors, and who takes them, over all runs that this scheduler works on."""

from collections import Counter
from collections.abc import Iterable, Mapping

from airdock.scheduler.admit import Lane
from airdock.store.records import Pool

__all__ = ["Room"]


class Room:
    """`executors` says how many slots each has, None is without bound; pools, a negative one without bound, are set.

    What other schedulers take isn't known here: the store refuses what has no room.
    """

    def __init__(self, *, executors: Mapping[str, int | None], pools: Iterable[Pool] = ()) -> None:
        self.set_pools(pools)
        self._executors = dict(executors)
        self._by_pool: Counter[str] = Counter()
        self._by_executor: Counter[str] = Counter()

    def set_pools(self, pools: Iterable[Pool]) -> None:
        """These are all the pools there are now."""
        self._pools = {pool.name: pool.slots for pool in pools}

    def count(self, lane: Lane, by: int) -> None:
        """That many instances of this lane take their slots, or give them back."""
        self._by_pool[lane.pool] += by * lane.pool_slots
        self._by_executor[lane.executor] += by

    @property
    def is_empty(self) -> bool:
        """Whether nobody takes anything."""
        return not any(self._by_executor.values())

    @property
    def is_full(self) -> bool:
        """Whether no executor takes any more."""
        return all(free is not None and free <= 0 for free in self.free_executors().values())

    def free_pools(self) -> dict[str, int | None]:
        return {name: None if slots < 0 else slots - self._by_pool[name] for name, slots in self._pools.items()}

    def free_executors(self) -> dict[str, int | None]:
        return {
            name: None if slots is None else slots - self._by_executor[name] for name, slots in self._executors.items()
        }
