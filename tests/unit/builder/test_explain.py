"""Why steps weren't cached, in words."""

import pytest

TEXT = "FROM base\nARG V=1\nCOPY . /d/\nRUN make\n"


def reasons(bench) -> list[str]:
    return [line.removeprefix("not cached: ") for line in bench.lines if line.startswith("not cached: ")]


@pytest.fixture
def built(bench):
    bench.base("base")
    bench.programs["make"] = lambda command, output: {"out": ""}
    bench.write({"a": "1", "d/b": "2"})
    bench.build(TEXT, explain=True)
    return bench


def test_the_first_build_has_nothing_to_compare_with(built) -> None:
    assert reasons(built) == ["nothing is known of an earlier build of this step"] * 2


def test_a_cached_build_explains_nothing(built) -> None:
    built.build(TEXT, explain=True)
    assert reasons(built) == []


def test_files_that_changed_came_or_went(built) -> None:
    built.write({"a": "changed", "new": ""})
    (built.context / "d" / "b").unlink()
    built.build(TEXT, explain=True)
    assert reasons(built) == [
        "/d/a changed",
        "/d/new is new",
        "/d/d/b is gone",
        "an earlier step of the stage made something else",
    ]


def test_the_value_of_an_argument(built) -> None:
    built.build(TEXT, explain=True, args={"V": "2"})
    assert reasons(built) == ["V was '1', is '2'"]


def test_the_base(built) -> None:
    built.base("base", [], user="somebody")
    built.build(TEXT, explain=True)
    assert reasons(built)[-1] in ("the base image base changed", "user was '', is 'somebody'")
    assert "the base image base changed" in reasons(built)


def test_a_command(built) -> None:
    built.build(TEXT.replace("RUN make", "RUN make it"), explain=True)
    assert reasons(built) == ['the command was \'["/bin/sh", "-c", "make"]\'']


def test_another_step_before_it_in_another_stage(built) -> None:
    text = "FROM base AS one\nARG V=1\nRUN make\nFROM scratch\nCOPY --from=one /out /\n"
    built.build(text, explain=True)
    built.programs["make"] = lambda command, output: {"out": command.env[-1]}
    built.build(text, explain=True, args={"V": "2"})
    assert reasons(built) == ["V was '1', is '2'", "the files of 0 changed"]


def test_the_cache_that_is_not_asked(built) -> None:
    built.build(TEXT, explain=True, no_cache=True)
    assert "the cache is not to be asked" in reasons(built)
