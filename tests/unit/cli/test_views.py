"""What the views print of one recorded run, held against the texts in tests/golden/views."""

import io
import json
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from airdock.cli.board import Board
from airdock.cli.feed import Feed
from airdock.cli.json_lines import JsonView
from airdock.cli.live import LiveView, frame
from airdock.cli.plain import PlainView
from airdock.cli.summary import Summary
from airdock.cli.words import ASCII, UNICODE, Tail, printable
from airdock.clock import ManualClock, SystemClock
from airdock.model.keys import TaskKey
from airdock.model.outcome import Failed, Outcome
from airdock.model.progress import BuildFinished, BuildOutput, BuildStarted, Progress, TaskChanged
from airdock.model.states import TaskState

Told = Sequence[tuple[float, Progress]]
Summarise = Callable[..., Summary]
Golden = Callable[[str, str], None]
Play = Callable[..., Board]
Capture = pytest.CaptureFixture[str]


class Silent:
    """A view that shows nothing, for boards."""

    draws = False

    def show(self, event: Progress, board: Board, now: float) -> None: ...

    def draw(self, board: Board, now: float) -> None: ...

    def close(self, summary: Summary | None) -> None: ...


def normal(text: str, tmp_path: Path) -> str:
    return text.replace(str(tmp_path), "/home/ada/.airdock")


def console(width: int = 100) -> Console:
    return Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None, highlight=False)


def test_plain(
    told: Told,
    tail: Tail,
    play: Play,
    summarise: Summarise,
    golden: Golden,
    tmp_path: Path,
    capsys: Capture,
) -> None:
    view = PlainView(tail=tail)
    view.close(summarise(play(view, told)))
    golden("plain.txt", normal(capsys.readouterr().out, tmp_path))


def test_plain_shows_what_steps_print_where_that_is_wanted(told: Told, play: Play, capsys: Capture) -> None:
    play(PlainView(output=True, err=True), told, until=1.0)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "| Installed 5 packages in 610 ms" in captured.err


def test_json(told: Told, play: Play, summarise: Summarise, golden: Golden, tmp_path: Path, capsys: Capture) -> None:
    view = JsonView()
    view.close(summarise(play(view, told)))
    printed = normal(capsys.readouterr().out, tmp_path)
    objects = [json.loads(line) for line in printed.splitlines()]
    assert len(objects) == len(told) + 1
    assert objects[-1]["event"] == "summary"
    golden("json.txt", printed)


@pytest.mark.parametrize("moment", [0.9, 2.0, 3.0])
def test_live(told: Told, play: Play, golden: Golden, moment: float) -> None:
    drawn = console()
    drawn.print(frame(play(Silent(), told, until=moment), moment, marks=UNICODE, height=30))
    assert isinstance(drawn.file, io.StringIO)
    golden(f"live-{moment}.txt", "\n".join(line.rstrip() for line in drawn.file.getvalue().splitlines()) + "\n")


def test_live_never_gets_higher_than_the_terminal(told: Told, play: Play) -> None:
    board = play(Silent(), told)
    for number in range(200):
        board.apply(BuildStarted(build=f"x{number}", label=f"image {number}"), 3.0)
    for height in (16, 24, 50):
        drawn = console()
        drawn.print(frame(board, 3.0, marks=ASCII, height=height))
        assert isinstance(drawn.file, io.StringIO)
        text = drawn.file.getvalue()
        assert len(text.splitlines()) <= height
        assert "more images" in text


def test_live_and_plain_end_with_the_same_summary(
    told: Told, play: Play, summarise: Summarise, capsys: Capture
) -> None:
    said: list[str] = []
    view = LiveView(console(), marks=UNICODE, echo=said.append)
    board = play(view, told)
    view.draw(board, 3.0)
    view.close(summarise(board))
    PlainView().close(summarise(board))
    assert said == [summarise(board).render()]
    assert capsys.readouterr().out.strip().splitlines()[0] == "weather manual__2026-01-01: failed in 2.50 s"


def test_live_prints_a_failure_so_that_it_stays(told: Told, tail: Tail, play: Play) -> None:
    drawn = console()
    play(LiveView(drawn, marks=UNICODE, echo=lambda text: None, tail=tail), told)
    assert isinstance(drawn.file, io.StringIO)
    text = drawn.file.getvalue()
    assert text.index("report: ValueError: no column 'date'") < text.index("Traceback (most recent call last)")
    assert "report/2.log" in text.replace("\n", "")


def test_process_isolation_is_said_with_its_price(told: Told, play: Play, summarise: Summarise) -> None:
    text = summarise(play(Silent(), told), isolation="process").render()
    assert "isolation: process" in text
    assert "could read its files" in text


def test_why_a_task_failed_is_said_whole(told: Told, play: Play, summarise: Summarise) -> None:
    reason = f"expected {'this and ' * 20}that; do what has to be done"
    failed = TaskChanged(
        key=TaskKey(dag_id="weather", run_id="manual__2026-01-01", task_id="long"),
        state=TaskState.FAILED,
        at=datetime(2026, 1, 1, tzinfo=UTC),
        try_number=1,
        outcome=Outcome(ending=Failed(reason=reason)),
    )
    text = summarise(play(Silent(), [*told, (9.0, failed)])).render()
    assert f"long: {reason}\n" in text


def test_of_a_long_line_no_more_is_shown_than_people_read(tmp_path: Path) -> None:
    tail = Tail(folder=tmp_path, lines=3)
    key = TaskKey(dag_id="weather", run_id="manual", task_id="long")
    tail.path(key, 1).parent.mkdir(parents=True)
    tail.path(key, 1).write_text(f"2026-01-01T00:00:02.000Z {'x' * 100_000}\n")
    assert tail.read(key, 1) == ["x" * 500 + " …"]


def test_what_a_task_prints_cannot_paint_over_the_view(tmp_path: Path, capsys: Capture) -> None:
    assert printable("a\x1b[2J\x1b[31mb\x1b]0;title\x07c\rd\te") == "abcd   e"
    board, view = Board(), PlainView(output=True)
    for event in (BuildOutput(build="b", line="\x1b[Hup"), BuildFinished(build="b", label="b", error="no\x1b[2J\nway")):
        board.apply(event, 0.0)
        view.show(event, board, 0.0)
    out = capsys.readouterr().out
    assert "| up\n" in out
    assert "failed: no way\n" in out


def test_events_of_many_threads_come_out_whole_and_in_order(capsys: Capture) -> None:
    feed = Feed(PlainView(), clock=SystemClock())

    def tell(name: str) -> None:
        for number in range(50):
            feed(BuildStarted(build=f"{name}{number}", label=f"{name}-{number:02}"))

    threads = [threading.Thread(target=tell, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    feed.close()
    lines = [line.split("  ")[-2] for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 200
    for name in "abcd":
        assert [line for line in lines if line.startswith(name)] == [f"{name}-{number:02}" for number in range(50)]


def test_a_feed_has_no_thread_before_its_first_event() -> None:
    before = threading.active_count()
    feed = Feed(Silent(), clock=ManualClock())
    assert threading.active_count() == before
    feed(BuildStarted(build="b", label="b"))
    feed.close()
    assert threading.active_count() == before


def test_a_view_that_breaks_stops_neither_the_run_nor_the_telling() -> None:
    class Broken(Silent):
        def show(self, event: Progress, board: Board, now: float) -> None:
            raise BrokenPipeError

    feed = Feed(Broken(), clock=SystemClock())
    for number in range(3):
        feed(BuildStarted(build=f"b{number}", label="b"))
    with pytest.raises(BrokenPipeError):
        feed.close()
    assert len(feed.board.builds) == 3


def test_a_drawing_view_is_drawn_while_nothing_happens() -> None:
    drawn = threading.Event()

    class Counting(Silent):
        draws = True
        count = 0

        def draw(self, board: Board, now: float) -> None:
            self.count += 1
            if self.count == 3:
                drawn.set()

    feed = Feed(Counting(), clock=SystemClock(), frame_s=0.001)
    feed(BuildStarted(build="b", label="b"))
    assert drawn.wait(10)
    feed.close()


def test_tasks_keep_the_order_and_the_names_they_were_told_with(play: Play) -> None:
    def changed(task_id: str, state: TaskState, map_index: int = -1, **more: str) -> TaskChanged:
        key = TaskKey(dag_id="d", run_id="r", task_id=task_id, map_index=map_index)
        return TaskChanged(key=key, state=state, at=datetime(2026, 1, 1, tzinfo=UTC), **more)  # type: ignore[arg-type]

    board = play(
        Silent(),
        [
            (0.0, changed("first", TaskState.NONE, environment="host")),
            (0.0, changed("spread", TaskState.NONE, environment="pandas", waiting_for="first")),
            (0.0, changed("last", TaskState.NONE, environment="host", waiting_for="spread")),
            (1.0, changed("spread", TaskState.RUNNING, 0)),
            (1.0, changed("spread", TaskState.RUNNING, 1)),
        ],
    )
    groups = board.groups()
    assert [[task.key.label for task in group] for group in groups] == [["first"], ["spread[0]", "spread[1]"], ["last"]]
    assert [board.image_of(group[0]) for group in groups] == ["host", "pandas", "host"]
