"""Reference §4.3: each row of the table of trigger rules, and what is said below it."""

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from airdock.model.outcome import Ending, Failed, Skipped, Succeeded
from airdock.model.states import TaskState
from airdock.scheduler.rules import RULES, Counts, Verdict, evaluate

from .drive import Drive

Make = Callable[..., Any]
S = TaskState
LETTERS = {"s": S.SUCCESS, "f": S.FAILED, "u": S.UPSTREAM_FAILED, "k": S.SKIPPED, "r": S.REMOVED, "-": S.NONE}
RUN, WAIT, SKIP, FAIL = Verdict.RUN, Verdict.WAIT, Verdict.SKIP, Verdict.UPSTREAM_FAILED


def count(states: str, setups: str = "") -> Counts:
    """Upstream instances by their letters: success, failed, upstream failed, skipped, removed, - for unfinished."""
    counts = Counts()
    for letter, is_setup in [*((each, False) for each in states), *((each, True) for each in setups)]:
        counts.add(is_setup=is_setup)
        if letter != "-":
            counts.settle(LETTERS[letter], is_setup=is_setup)
    return counts


ROWS = {
    "all_success": {
        RUN: ["ss", "s", "sr"], FAIL: ["sf", "su", "f-", "-u", "fk"], SKIP: ["sk", "k-", "kk"], WAIT: ["s-", "--"],
    },
    "all_failed": {
        RUN: ["ff", "fu", "uu", "fr"], SKIP: ["fs", "s-", "k-", "fk"], WAIT: ["f-", "--"], FAIL: [],
    },
    "all_done": {RUN: ["sfuk", "kk", "ff", "r"], WAIT: ["sfuk-", "f-"], SKIP: [], FAIL: []},
    "all_skipped": {RUN: ["kk", "kr"], SKIP: ["ks", "f-", "u-", "s-"], WAIT: ["k-", "-"], FAIL: []},
    "one_success": {
        RUN: ["s-", "sf", "sk", "s"], SKIP: ["kk", "kr"], FAIL: ["ff", "fk", "uk"], WAIT: ["f-", "k-", "--"],
    },
    "one_failed": {RUN: ["f-", "u-", "sf"], SKIP: ["ss", "sk", "kk", "sr"], WAIT: ["s-", "k-"], FAIL: []},
    "one_done": {RUN: ["s-", "f-", "fu"], SKIP: ["kk", "uu", "ku"], WAIT: ["k-", "u-", "--"], FAIL: []},
    "none_failed": {RUN: ["ss", "sk", "kk", "sr"], FAIL: ["f-", "u-", "sf"], WAIT: ["s-", "k-"], SKIP: []},
    "none_failed_min_one_success": {
        RUN: ["ss", "sk", "sr"], FAIL: ["f-", "u-", "sf"], SKIP: ["kk", "kr"], WAIT: ["s-", "k-"],
    },
    "none_skipped": {RUN: ["ss", "sf", "uu", "sr"], SKIP: ["k-", "sk"], WAIT: ["s-", "f-"], FAIL: []},
    "always": {RUN: ["--", "f-", "k", "r"], WAIT: [], SKIP: [], FAIL: []},
    "all_done_setup_success": {RUN: ["sf", "fk", "uu", "ss"], WAIT: ["s-", "f-"], SKIP: [], FAIL: []},
    "all_done_min_one_success": {RUN: ["ss", "sf", "sr"], SKIP: ["k-", "sk"], FAIL: ["ff", "uu"], WAIT: ["s-", "f-"]},
}  # fmt: skip


def test_the_table_has_thirteen_rows() -> None:
    assert ROWS.keys() == RULES.keys()
    assert len(ROWS) == 13


@pytest.mark.parametrize(
    ("rule", "states", "verdict"),
    [(rule, states, verdict) for rule, row in ROWS.items() for verdict, each in row.items() for states in each],
)
def test_each_row(rule: str, states: str, verdict: Verdict) -> None:
    assert evaluate(rule, count(states)) is verdict


@pytest.mark.parametrize(
    ("setups", "others", "verdict"),
    [("s", "f", RUN), ("sf", "", RUN), ("kk", "s", SKIP), ("f", "s", FAIL), ("fk", "", FAIL), ("s", "-", WAIT)],
)
def test_a_teardown_needs_one_setup_that_succeeded(setups: str, others: str, verdict: Verdict) -> None:
    assert evaluate("all_done_setup_success", count(others, setups)) is verdict


@pytest.mark.parametrize("rule", sorted(RULES))
def test_without_upstream_every_rule_is_met(rule: str) -> None:
    assert evaluate(rule, Counts()) is RUN


@pytest.mark.parametrize("rule", sorted(RULES))
def test_removed_instances_are_excused(rule: str) -> None:
    for states in product("sfk", repeat=2):
        listed = "".join(states)
        assert evaluate(rule, count(listed + "r")) is evaluate(rule, count(listed))


@pytest.mark.parametrize("rule", sorted(RULES))
def test_what_is_decided_early_stays(rule: str) -> None:
    """A verdict of "now" is never one that waiting for the rest would have made a run of."""
    for known in product("sfuk", repeat=2):
        early = evaluate(rule, count("".join(known) + "-"))
        if early in (SKIP, FAIL):
            assert all(evaluate(rule, count("".join((*known, last)))) is not RUN for last in "sfuk"), known


ENDINGS: dict[str, Ending] = {"s": Succeeded(), "f": Failed(reason="no", retryable=False), "k": Skipped()}
MADE = {RUN: "queued", WAIT: "none", SKIP: "skipped", FAIL: "upstream_failed"}


@pytest.mark.parametrize("rule", sorted(RULES))
@pytest.mark.parametrize("endings", ["s", "f", "k", "sf", "fs", "sk", "kf", "kk", "ff", "ssf"])
def test_rules_are_heeded_as_upstream_ends(rule: str, endings: str, make_dag: Make, make_task: Make) -> None:
    """After each ending the task is what its rule says, or what an earlier verdict already made of it."""
    names = [f"u{number}" for number in range(len(endings) + 1)]
    drive = Drive(make_dag(*map(make_task, names), make_task("t", *names, trigger_rule=rule)))
    expected = evaluate(rule, count("-" * len(names)))
    for number, letter in enumerate(endings):
        drive.end(names[number], ENDINGS[letter])
        if expected is WAIT:
            expected = evaluate(rule, count(endings[: number + 1] + "-" * (len(endings) - number)))
        assert drive.states()["t"] == MADE[expected]
