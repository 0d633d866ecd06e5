"""A graph of tasks as text: in layers from left to right where there is room, else as rails beside a list.

In layers, every task has a line of its own and stands right of all it waits for. What waits for the same tasks shares
one rail, so that a hundred that lead to one draw one line. A rail that is only crossed stays whole: `─│─` touches
nothing, `┼` and its like do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from airdock.cli.tables import fit, width
from airdock.record import record

__all__ = ["ASCII_LINES", "UNICODE_LINES", "Lines", "Node", "render_graph"]

_UP, _DOWN, _LEFT, _RIGHT = 1, 2, 4, 8
_LABEL_CELLS: Final = 40


@record
class Lines:
    """What lines are drawn with; `joints` by the sum of up 1, down 2, left 4, right 8."""

    joints: str
    arrow: str
    dot: str


UNICODE_LINES: Final = Lines(joints=" │││─┘┐┤─└┌├─┴┬┼", arrow="▶", dot="●")
ASCII_LINES: Final = Lines(joints=" |||-+++-+++-+++", arrow=">", dot="o")


@record
class Node:
    """One task: what it is called in the picture, and the ids of those it waits for."""

    id: str
    label: str
    upstream: tuple[str, ...] = ()


def render_graph(nodes: Sequence[Node], *, cells: int, lines: Lines = UNICODE_LINES) -> list[str]:
    """The picture, at most `cells` wide where that can be; `nodes` come after those they wait for."""
    layered = _Layers(nodes, lines).draw()
    if all(width(line) <= cells for line in layered):
        return layered
    return _draw_rails(nodes, lines)


@dataclass(slots=True)
class _Rail:
    """A vertical line, from the first of its sources to the last of its targets."""

    sources: frozenset[str]
    targets: frozenset[str]
    top: int
    bottom: int
    column: int = 0


@dataclass(slots=True)
class _Row:
    cells: list[str] = field(default_factory=list)

    def put(self, column: int, text: str) -> None:
        self.cells += [" "] * (column + width(text) - len(self.cells))
        self.cells[column : column + width(text)] = [text] + [""] * (width(text) - 1)

    def text(self) -> str:
        return "".join(self.cells).rstrip()


class _Layers:
    """Every task in its layer: one more than the highest of those it waits for."""

    def __init__(self, nodes: Sequence[Node], lines: Lines) -> None:
        self._lines = lines
        layer: dict[str, int] = {}
        for node in nodes:
            layer[node.id] = 1 + max((layer[each] for each in node.upstream), default=-1)
        self._layer = layer
        self._nodes = _ordered(nodes, layer)
        self._row = {node.id: number for number, node in enumerate(self._nodes)}
        self._labels = {node.id: fit(node.label, _LABEL_CELLS) for node in nodes}
        self._rails = self._make_rails()
        self._start, self._end = self._place()

    def _make_rails(self) -> dict[int, list[_Rail]]:
        """By layer, those that begin there."""
        targets: dict[str, set[str]] = {}
        for node in self._nodes:
            for source in node.upstream:
                targets.setdefault(source, set()).add(node.id)
        bundles: dict[tuple[int, frozenset[str]], list[str]] = {}
        for node in self._nodes:
            if node.id in targets:
                bundles.setdefault((self._layer[node.id], frozenset(targets[node.id])), []).append(node.id)
        rails: dict[int, list[_Rail]] = {}
        for (layer, ends), sources in bundles.items():
            top = min(self._row[each] for each in sources)
            bottom = max(self._row[each] for each in ends)
            rails.setdefault(layer, []).append(_Rail(frozenset(sources), ends, top, bottom))
        return rails

    def _place(self) -> tuple[dict[int, int], dict[int, int]]:
        """Where the labels of each layer begin, and where the rails after them do; gives rails their columns."""
        start, end, column = {}, {}, 0
        for layer in range(1 + max(self._layer.values(), default=-1)):
            start[layer] = column
            inside = [node.id for node in self._nodes if self._layer[node.id] == layer]
            end[layer] = column + max(width(self._labels[each]) for each in inside) + 1
            column = end[layer] + 1
            # Those that begin last stand nearest, so that fewest lines cross.
            for rail in sorted(self._rails.get(layer, ()), key=lambda rail: -rail.top):
                rail.column, column = column, column + 2
            column += 2
        return start, end

    def draw(self) -> list[str]:
        rows = []
        rails = [rail for each in self._rails.values() for rail in each]
        for number, node in enumerate(self._nodes):
            row = _Row()
            first = min((rail.column for rail in rails if node.id in rail.targets), default=None)
            own = next((rail.column for rail in rails if node.id in rail.sources), None)
            begin = self._start[self._layer[node.id]]
            after = begin + width(self._labels[node.id]) + 1
            row.put(begin, self._labels[node.id])
            if first is not None:
                self._draw_across(row, first, begin - 3)
                row.put(begin - 2, self._lines.arrow)
            if own is not None:
                self._draw_across(row, after, own)
            for rail in rails:
                if rail.top <= number <= rail.bottom:
                    row.put(rail.column, self._joint(rail, node.id, number, first, own))
            rows.append(row.text())
        return rows

    def _draw_across(self, row: _Row, start: int, stop: int) -> None:
        for column in range(start, stop + 1):
            row.put(column, self._lines.joints[_LEFT | _RIGHT])

    def _joint(self, rail: _Rail, node_id: str, row: int, first: int | None, own: int | None) -> str:
        bits = (_UP if row > rail.top else 0) | (_DOWN if row < rail.bottom else 0)
        if node_id in rail.sources:
            bits |= _LEFT
        if node_id in rail.targets:
            bits |= _RIGHT | (_LEFT if first is not None and rail.column > first else 0)
        return self._lines.joints[bits]


def _ordered(nodes: Sequence[Node], layer: Mapping[str, int]) -> list[Node]:
    """Layer by layer; in each, near those they wait for."""
    place: dict[str, float] = {}
    ordered: list[Node] = []
    for number in range(1 + max(layer.values(), default=-1)):
        inside = [node for node in nodes if layer[node.id] == number]
        middle = {
            node.id: sum(place[each] for each in node.upstream) / len(node.upstream) if node.upstream else 0.0
            for node in inside
        }
        inside.sort(key=lambda node: middle[node.id])  # stable: else as they were written
        place |= {node.id: float(index) for index, node in enumerate(inside)}
        ordered += inside
    return ordered


def _draw_rails(nodes: Sequence[Node], lines: Lines) -> list[str]:
    """One task per line beside rails, which are used again once nobody waits for what they lead from."""
    last: dict[str, int] = {}
    for number, node in enumerate(nodes):
        last |= dict.fromkeys(node.upstream, number)
    lanes: list[str] = []
    drawn: list[tuple[str, str]] = []
    for number, node in enumerate(nodes):
        before = list(lanes)
        lanes = [each if each and last[each] > number else "" for each in lanes]
        own = lanes.index("") if "" in lanes else len(lanes)
        lanes[own : own + 1] = [node.id]
        before += [""] * (len(lanes) - len(before))
        after = [each if last.get(each, -1) > number else "" for each in lanes]
        joined = {index for index, each in enumerate(before) if each and each in node.upstream} | {own}
        drawn.append((_draw_lane(before, after, joined, own, lines), node.label))
        lanes = after
    room = max((len(rails) for rails, _ in drawn), default=0)
    return [f"{rails:{room}} {label}" for rails, label in drawn]


def _draw_lane(before: Sequence[str], after: Sequence[str], joined: set[int], own: int, lines: Lines) -> str:
    low, high = min(joined), max(joined)
    text = ""
    for index, (above, below) in enumerate(zip(before, after, strict=True)):
        across = _LEFT | _RIGHT if low < index < high else 0
        bits = (_UP if above else 0) | (_DOWN if below else 0)
        if index in joined:
            bits |= (_LEFT if index > low else 0) | (_RIGHT if index < high else 0)
        elif not bits:
            bits = across
        text += lines.dot if index == own else lines.joints[bits]
        text += lines.joints[_LEFT | _RIGHT] if low <= index < high else " "
    return text.rstrip()
