"""Words, held against the tables of the reference implementation."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airdock.builder.words import expand, expand_word, expand_words
from airdock.errors import DockerfileError

DATA = Path(__file__).parents[4] / "shared" / "data" / "dockerfile" / "words"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"the conformance tables are not at {DATA}")
ENV = {"PWD": "/home", "SHELL": "bash", "KOREAN": "한국어", "NULL": ""}


def env_rows() -> list[tuple[str, str]]:
    if not DATA.is_dir():
        return []
    rows = []
    for line in (DATA / "envVarTest").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            platform, word, expected = (part.strip() for part in line.split("|"))
            if platform in "AU":  # the rest is Windows, whose variables don't mind case
                rows.append((word, expected))
    return rows


def split_rows() -> list[tuple[dict[str, str], str, list[str] | None]]:
    if not DATA.is_dir():
        return []
    rows: list[tuple[dict[str, str], str, list[str] | None]] = []
    env: dict[str, str] = {}
    for line in (DATA / "wordsTest").read_text().splitlines():
        if line.startswith("#"):
            continue
        if line.startswith("ENV "):
            name, value = line[4:].lstrip().split("=", 1)
            env = {**env, name: value}
            continue
        text, expected = line.split("|")
        words = None if expected.strip() == "error" else expected.lstrip().split(",")
        rows.append((env, text.strip(), words))
    return rows


def lex_rows() -> list[dict[str, object]]:
    return json.loads((DATA / "lex.json").read_text())["rows"] if DATA.is_dir() else []


@needs_data
def test_every_row_of_the_tables_is_there() -> None:
    assert (len(env_rows()), len(split_rows()), len(lex_rows())) == (228, 24, 56)


@needs_data
@pytest.mark.parametrize(("word", "expected"), env_rows())
def test_expands_one_word(word: str, expected: str) -> None:
    if expected == "error":
        with pytest.raises(DockerfileError):
            expand_word(word, ENV)
    else:
        assert expand_word(word, ENV) == expected


@needs_data
@pytest.mark.parametrize(("env", "text", "expected"), split_rows())
def test_splits_words(env: dict[str, str], text: str, expected: list[str] | None) -> None:
    if expected is None:
        with pytest.raises(DockerfileError):
            expand_words(text, env)
    else:
        assert list(expand_words(text, env)) == expected


@needs_data
@pytest.mark.parametrize("row", lex_rows(), ids=lambda row: str(row["word"]))
def test_expands_with_modifiers(row: dict[str, object]) -> None:
    word, env = str(row["word"]), dict(row["env"])  # type: ignore[call-overload]
    if "error" in row or "error_contains" in row:
        with pytest.raises(DockerfileError) as raised:
            expand(word, env)
        assert str(row.get("error_contains", "")) in raised.value.message
        return
    found = expand(word, env)
    assert found.text == row["result"]
    if "matched" in row:
        assert sorted(found.matched) == row["matched"]
        assert sorted(found.unmatched) == row["unmatched"]


def test_another_escape_leaves_backslashes_alone() -> None:
    assert expand_word(r"C:\dir `$HOME", {"HOME": "x"}, escape="`") == r"C:\dir $HOME"


def test_unset_variables_can_be_kept() -> None:
    assert expand("$a ${b:-c} ${d}", {}, keep_unset=True).text == "$a ${b:-c} ${d}"


def test_a_pattern_of_many_stars_ends_soon() -> None:
    value = "a" * 4_000
    assert expand_word("${v%" + "*a" * 40 + "b}", {"v": value}) == value


def test_substitutions_nest_only_so_deep() -> None:
    with pytest.raises(DockerfileError):
        expand_word("${a:-" * 5_000, {})


@given(
    st.text(alphabet=st.sampled_from(list("ab$ {}:-+?#%/*\\'\"`\n@1ü"))),
    st.dictionaries(st.sampled_from("ab"), st.text()),
)
def test_any_text_expands_or_is_refused(text: str, env: dict[str, str]) -> None:
    try:
        expand(text, env)
    except DockerfileError:
        pass


def test_variables_that_double_themselves_stay_bounded() -> None:
    value = "x" * 1_000_000
    with pytest.raises(DockerfileError, match="at most"):
        expand_word("$v$v", {"v": value})
    with pytest.raises(DockerfileError, match="at most"):
        expand_word("${v//x/yy}", {"v": value})
