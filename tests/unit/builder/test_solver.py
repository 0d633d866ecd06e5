"""Stages beside each other, equal steps once, and what happens to the others when one fails."""

import threading

import pytest

from airdock.errors import BuildCancelledError, StepFailedError

TWO = (
    "FROM base AS one\nRUN first\nFROM base AS two\nRUN second\n"
    "FROM scratch\nCOPY --from=one /one /\nCOPY --from=two /two /\n"
)


def test_stages_that_do_not_need_each_other_run_at_once(bench) -> None:
    bench.base("base")
    both = threading.Barrier(2, timeout=30)

    def meet(name: str):
        def program(command, output):
            both.wait()  # neither ends before the other has begun
            return {name: name}

        return program

    bench.programs.update(first=meet("one"), second=meet("two"))
    image = bench.build(TWO)
    assert (bench.text(image, "one"), bench.text(image, "two")) == ("one", "two")


def test_the_order_in_which_stages_end_changes_nothing(bench) -> None:
    bench.base("base")
    turn = threading.Event()
    bench.programs.update(first=lambda *_: {"one": "1"}, second=lambda *_: {"two": "2"})
    first = bench.build(TWO)

    def late(command, output):
        assert turn.wait(30)
        return {"one": "1"}

    def early(command, output):
        turn.set()
        return {"two": "2"}

    bench.programs.update(first=late, second=early)
    assert bench.build(TWO, no_cache=True).digest == first.digest


def test_equal_steps_are_done_once_even_without_the_cache(bench) -> None:
    bench.base("base")
    bench.programs["make"] = lambda *_: {"out": "made"}
    text = (
        "FROM base AS one\nRUN make\nFROM base AS two\nRUN make\n"
        "FROM scratch\nCOPY --from=one /out /1\nCOPY --from=two /out /2\n"
    )
    bench.build(text)
    assert len(bench.run.commands) == 1
    bench.build(text, no_cache=True)
    assert len(bench.run.commands) == 2


def test_a_failing_step_breaks_off_the_others(bench) -> None:
    bench.base("base")
    begun, told = threading.Event(), threading.Event()

    def endless(command, output):
        import select

        begun.set()
        assert select.select([command.cancel], [], [], 30)[0], "nobody broke it off"
        told.set()
        raise BuildCancelledError

    def fail(command, output):
        assert begun.wait(30)
        raise StepFailedError(command_exit=2)

    bench.programs.update(first=endless, second=fail)
    with pytest.raises(StepFailedError) as raised:
        bench.build(TWO)
    assert raised.value.where == "Dockerfile:4"
    assert told.is_set()
    assert list((bench.folder / "cache").glob(".tmp-*")) == []


def test_a_stage_that_waits_for_one_that_failed_says_nothing_of_its_own(bench) -> None:
    bench.base("base")
    bench.programs.update(first=lambda *_: {"one": ""})

    def fail(command, output):
        raise StepFailedError(command_exit=3)

    bench.programs["second"] = fail
    with pytest.raises(StepFailedError) as raised:
        bench.build(TWO)
    assert raised.value.command_exit == 3


def test_stages_may_be_kept_from_the_cache_by_name(bench) -> None:
    bench.base("base")
    bench.programs.update(first=lambda *_: {"one": ""}, second=lambda *_: {"two": ""})
    bench.build(TWO)
    bench.build(TWO, no_cache_filter=frozenset({"two"}))
    assert [command.argv[-1] for command in bench.run.commands].count("first") == 1
    assert [command.argv[-1] for command in bench.run.commands].count("second") == 2


def test_many_stages_in_a_chain(bench) -> None:
    text = "FROM scratch AS s0\nCOPY a /a\n" + "".join(f"FROM s{n} AS s{n + 1}\n" for n in range(200))
    bench.write({"a": "1"})
    assert bench.text(bench.build(text), "a") == "1"
