"""What the figures have in common: samples, contests in which everybody runs in turn, and what a figure tells."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["Contestant", "Figure", "Samples", "Skipped", "SkippedError", "contest", "timed"]

Contestant = Callable[[], float]
"""Does the thing once and gives what it took, in the figure's unit."""


class SkippedError(Exception):
    """What can't be measured on this machine, and why."""


@dataclass(frozen=True)
class Skipped:
    """A peer that could not run."""

    reason: str


@dataclass(frozen=True)
class Samples:
    """What was measured, in the figure's unit."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def least(self) -> float:
        return min(self.values)

    @property
    def most(self) -> float:
        return max(self.values)

    def to_dict(self) -> dict[str, Any]:
        return {
            "median": self.median,
            "min": self.least,
            "max": self.most,
            "n": len(self.values),
            "values": list(self.values),
        }


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the table. `budget` is None where there is none; `more_is_better` for rates.

    `is_met` says what a budget in numbers can't; `notes` are told below the table.
    """

    title: str
    unit: str
    ours: Samples
    budget: float | None = None
    more_is_better: bool = False
    is_met: bool | None = None
    peers: Mapping[str, Samples | Skipped] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def verdict(self) -> str:
        met = self.is_met
        if met is None and self.budget is not None:
            met = self.ours.median >= self.budget if self.more_is_better else self.ours.median <= self.budget
        return "" if met is None else "met" if met else "missed"

    def ratio(self, peer: Samples) -> float:
        """How many times better we are; below 1 where the peer is."""
        mine, other = self.ours.median, peer.median
        return mine / other if self.more_is_better else other / mine

    def to_dict(self) -> dict[str, Any]:
        peers = {
            name: {"skipped": found.reason}
            if isinstance(found, Skipped)
            else {**found.to_dict(), "ratio": self.ratio(found)}
            for name, found in self.peers.items()
        }
        return {
            "title": self.title,
            "unit": self.unit,
            "ours": self.ours.to_dict(),
            "budget": self.budget,
            "verdict": self.verdict,
            "peers": peers,
            "notes": list(self.notes),
        }


_MS: Final = 1000.0
_SETTLE_S: Final = 0.05
"""What the kernel gets between two turns to clear away the namespaces and cgroups of the one before."""


def timed(work: Callable[[], object], *, scale: float = _MS) -> Contestant:
    """A contestant that is judged by the clock, in milliseconds unless told otherwise."""

    def run() -> float:
        began = time.perf_counter()
        work()
        return (time.perf_counter() - began) * scale

    return run


def contest(
    ours: Contestant, peers: Mapping[str, Callable[[], Contestant]], *, rounds: int, warm_up: int = 1
) -> tuple[Samples, dict[str, Samples | Skipped]]:
    """Everybody in turn, `rounds` times, another one first each time, so that load and caches treat all alike.

    A peer is made by its function, which raises SkippedError where it can't run here.
    """
    running: dict[str, Contestant] = {"": ours}
    found: dict[str, Samples | Skipped] = {}
    for name, make in peers.items():
        try:
            running[name] = make()
        except SkippedError as error:
            found[name] = Skipped(str(error))
    for contestant in running.values():
        for _ in range(warm_up):
            contestant()
    values: dict[str, list[float]] = {name: [] for name in running}
    names = list(running)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            time.sleep(_SETTLE_S)
            values[name].append(running[name]())
    samples = {name: Samples(tuple(each)) for name, each in values.items()}
    own = samples.pop("")
    return own, {name: samples.get(name) or found[name] for name in peers}
