"""The picture of a graph: in layers, and as rails where there is no room."""

from airdock.cli.graph import ASCII_LINES, Node, render_graph

REPORT = [
    Node(id="extract", label="extract"),
    Node(id="tools", label="tools"),
    Node(id="old", label="old", upstream=("extract",)),
    Node(id="chart", label="chart x3", upstream=("extract", "tools")),
    Node(id="compare", label="compare", upstream=("old", "chart")),
]


def test_layers_show_who_waits_for_whom() -> None:
    assert render_graph(REPORT, cells=80) == [
        "extract ───┐",
        "tools ───┐ │",
        "         │ ├─▶ old ──────┐",
        "         └─┴─▶ chart x3 ─┤",
        "                         └─▶ compare",
    ]


def test_ascii_does_without_box_drawing() -> None:
    text = "\n".join(render_graph(REPORT[:3], cells=80, lines=ASCII_LINES))
    assert text == "extract -+\ntools    |\n         +-> old"


def test_a_rail_that_is_only_crossed_stays_whole() -> None:
    nodes = [
        Node(id="a", label="a"),
        Node(id="b", label="b"),
        Node(id="c", label="c", upstream=("a",)),
        Node(id="d", label="d", upstream=("b",)),
    ]
    assert render_graph(nodes, cells=80) == ["a ───┐", "b ─┐ │", "   │ └─▶ c", "   └───▶ d"]


def test_those_that_wait_for_the_same_share_a_rail() -> None:
    sources = [Node(id=f"s{n}", label=f"s{n}") for n in range(3)]
    ends = tuple(node.id for node in sources)
    drawn = render_graph([*sources, Node(id="t", label="t", upstream=ends)], cells=80)
    assert drawn == ["s0 ─┐", "s1 ─┤", "s2 ─┤", "    └─▶ t"]


def test_where_it_is_too_wide_rails_stand_beside_a_list() -> None:
    assert render_graph(REPORT, cells=20) == [
        "●     extract",
        "│ ●   tools",
        "├─│─● old",
        "●─┘ │ chart x3",
        "●───┘ compare",
    ]


def test_no_tasks_draw_nothing() -> None:
    assert render_graph([], cells=80) == []
