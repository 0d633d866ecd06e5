"""Ignore rules, held against the table of the reference implementation."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airdock.builder.globs import compile_glob, has_wildcards, matches_glob
from airdock.builder.ignore import IgnoreRules, parse_ignore_file
from airdock.errors import DockerfileError

DATA = Path(__file__).parents[4] / "shared" / "data" / "dockerignore.json"
needs_data = pytest.mark.skipif(not DATA.is_file(), reason=f"the conformance table is not at {DATA}")


def rows(kind: str) -> list[dict[str, Any]]:
    table = json.loads(DATA.read_text())["rows"] if DATA.is_file() else []
    return [row for row in table if row["kind"] == kind]


@needs_data
def test_every_row_has_a_test() -> None:
    assert [len(rows(kind)) for kind in ("match", "patterns", "ignorefile")] == [138, 6, 2]


@needs_data
@pytest.mark.parametrize("row", rows("match"), ids=lambda row: f"{row['patterns']} {row['path']}")
def test_match(row: dict[str, Any]) -> None:
    if "error" not in row:
        assert IgnoreRules(row["patterns"]).ignores(row["path"]) is row["match"]
        return
    with pytest.raises(DockerfileError) as raised:
        IgnoreRules(row["patterns"]).ignores(row["path"])
    assert raised.value.where == ".dockerignore"
    if isinstance(row["error"], str):
        assert row["error"] in raised.value.message


@needs_data
@pytest.mark.parametrize("row", rows("match"), ids=lambda row: f"{row['patterns']} {row['path']}")
def test_match_without_regular_expressions(row: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airdock.builder.globs._MAX_REGEX_WILDCARDS", -1)
    test_match(row)


@needs_data
@pytest.mark.parametrize("row", rows("patterns"), ids=lambda row: str(row["test"]))
def test_patterns(row: dict[str, Any]) -> None:
    if row.get("error"):
        with pytest.raises(DockerfileError):
            IgnoreRules(row["patterns"])
        return
    rules = IgnoreRules(row["patterns"])
    assert len(rules) == row.get("count", len(rules))
    assert rules.has_exceptions is row.get("exclusions", rules.has_exceptions)


@needs_data
@pytest.mark.parametrize("row", rows("ignorefile"))
def test_ignore_file(row: dict[str, Any]) -> None:
    assert list(parse_ignore_file(row["text"])) == row["expect"]


def test_a_malformed_pattern_fails_the_same_way_twice() -> None:
    rules = IgnoreRules(["[Local-Only]/"])
    for _ in range(2):
        with pytest.raises(DockerfileError, match="syntax error in pattern"):
            rules.ignores("x")


def test_copy_patterns_stay_in_their_folder() -> None:
    assert matches_glob("*.txt", "a.txt")
    assert not matches_glob("*.txt", "b/a.txt")
    assert not matches_glob("**/a.txt", "b/c/a.txt")
    assert has_wildcards("a[1]")
    assert not has_wildcards(r"a\[1\]")


def test_a_pattern_of_many_wildcards_ends_soon() -> None:
    assert not compile_glob("**/a" * 30 + "**/b", deep=True)("a/" * 200 + "c")
    assert not compile_glob("*a" * 60 + "b", deep=False)("a" * 250)


PATTERNS = st.text(alphabet=st.sampled_from(list("*?[]^-!\\/ab.#\n ")), max_size=30)


@given(st.lists(PATTERNS, max_size=4), st.text(alphabet="ab/.\n", max_size=20))
def test_any_rules_judge_or_are_refused(patterns: list[str], path: str) -> None:
    try:
        IgnoreRules(parse_ignore_file("\n".join(patterns))).ignores(path)
    except DockerfileError:
        pass


@given(PATTERNS, st.text(alphabet="ab/.", max_size=12))
def test_both_ways_to_match_agree(pattern: str, path: str) -> None:
    from airdock.builder import globs

    try:
        parts = globs._parse(pattern, True)
    except DockerfileError:
        return
    if sum(kind in ("run", "folders", "rest") for kind, _ in parts) <= globs._MAX_REGEX_WILDCARDS:
        assert compile_glob(pattern, deep=True)(path) == (len(path) in globs._ends(parts, path))
