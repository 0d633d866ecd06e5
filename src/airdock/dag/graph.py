"""The order of tasks: topological, without cycles."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence, Set

from airdock.errors import CycleError

__all__ = ["find_cycle", "leaves", "topological_order", "total_weights"]


def topological_order(upstream: Mapping[str, Set[str]]) -> tuple[str, ...]:
    """Every task after all of its upstream; among equals the order of the mapping. CycleError shows the circle."""
    waits = {task: len(before) for task, before in upstream.items()}
    downstream = _reversed(upstream)
    ready = deque(task for task, count in waits.items() if count == 0)
    order: list[str] = []
    while ready:
        task = ready.popleft()
        order.append(task)
        for after in downstream[task]:
            waits[after] -= 1
            if waits[after] == 0:
                ready.append(after)
    if len(order) < len(upstream):
        cycle = " -> ".join(find_cycle({task: upstream[task] for task, count in waits.items() if count}))
        raise CycleError(f"the tasks wait for each other in a circle: {cycle}", hint="take out one of these edges")
    return tuple(order)


def find_cycle(upstream: Mapping[str, Set[str]]) -> tuple[str, ...]:
    """One circle in the direction in which the tasks would run, its first task again at the end.

    Every task given has to have an upstream task among those given.
    """
    path: list[str] = []
    seen: dict[str, int] = {}
    task = next(iter(upstream))
    while task not in seen:
        seen[task] = len(path)
        path.append(task)
        task = next(before for before in sorted(upstream[task]) if before in upstream)
    circle = path[seen[task] :][::-1]
    first = circle.index(min(circle, key=list(upstream).index))
    circle = circle[first:] + circle[:first]
    return (*circle, circle[0])


def leaves(upstream: Mapping[str, Set[str]]) -> tuple[str, ...]:
    """The tasks that none waits for."""
    waited_for = {before for each in upstream.values() for before in each}
    return tuple(task for task in upstream if task not in waited_for)


def total_weights(
    upstream: Mapping[str, Set[str]], weights: Mapping[str, int], rules: Mapping[str, str]
) -> dict[str, int]:
    """The priority of every task by its weight rule: its own weight, and that of all tasks downstream or upstream.

    CycleError as in `topological_order`. Quick enough for chains of tens of thousands: sets of tasks are the bits of
    integers, dropped as soon as no neighbour needs them.
    """
    order = topological_order(upstream)
    totals = dict(weights)
    for rule, sequence, neighbours in (
        ("downstream", order[::-1], _reversed(upstream)),
        ("upstream", order, {task: list(before) for task, before in upstream.items()}),
    ):
        if rule in rules.values():
            sums = _sums_of_reachable(sequence, neighbours, weights)
            totals.update({task: weights[task] + sums[task] for task in weights if rules[task] == rule})
    return {task: _clamp(total) for task, total in totals.items()}


def _sums_of_reachable(
    sequence: Sequence[str], neighbours: Mapping[str, Sequence[str]], weights: Mapping[str, int]
) -> dict[str, int]:
    """For each task the summed weight of all that it reaches; `sequence` has every task after its neighbours."""
    bits = {task: 1 << index for index, task in enumerate(sequence)}
    of_weight: dict[int, int] = {}
    for task, weight in weights.items():
        of_weight[weight] = of_weight.get(weight, 0) | bits[task]
    needed_by = Counter(other for task in sequence for other in neighbours[task])
    reached: dict[str, int] = {}
    sums: dict[str, int] = {}
    for task in sequence:
        found = 0
        for other in neighbours[task]:
            found |= bits[other] | reached[other]
            needed_by[other] -= 1
            if not needed_by[other]:
                del reached[other]
        reached[task] = found
        sums[task] = sum(weight * (found & members).bit_count() for weight, members in of_weight.items())
    return sums


def _reversed(upstream: Mapping[str, Set[str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {task: [] for task in upstream}
    for task, before in upstream.items():
        for other in before:
            found[other].append(task)
    return found


def _clamp(weight: int) -> int:
    """Airflow keeps priorities in 32 bits."""
    return max(-(2**31), min(2**31 - 1, weight))
