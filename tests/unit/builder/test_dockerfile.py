"""Instructions as records, held against the table of the reference implementation."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airdock.builder.dockerfile import parse_dockerfile, parse_instruction
from airdock.builder.flags import parse_device, parse_duration, parse_flags
from airdock.builder.instructions import Arg, Healthcheck, Instruction, Run, Transfer
from airdock.builder.parser import Node, parse
from airdock.errors import DockerfileError

DATA = Path(__file__).parents[4] / "shared" / "data" / "dockerfile" / "instructions.json"
needs_data = pytest.mark.skipif(not DATA.is_file(), reason=f"the conformance table is not at {DATA}")
KINDS = {"string": str, "bool": bool}


def rows(*kinds: str) -> list[dict[str, Any]]:
    table = json.loads(DATA.read_text())["rows"] if DATA.is_file() else []
    return [row for row in table if row["kind"] in kinds]


def label(row: dict[str, Any]) -> str:
    return str(row.get("name") or row.get("text") or row.get("args"))


def only_instruction(text: str) -> Instruction:
    return parse_instruction(parse(text).nodes[0])


def describe(instruction: Instruction) -> dict[str, Any]:
    match instruction:
        case Healthcheck():
            return {"health_test": instruction.check["Test"]}
        case Transfer():
            contents = [{"path": doc.name, "data": doc.text, "expand": doc.expand} for doc in instruction.documents]
            sources = list(instruction.sources)
            return {"dest": instruction.destination, "sources": sources, "contents": contents}
        case Run():
            files = [{"name": doc.name, "data": doc.content, "chomp": doc.strip_tabs} for doc in instruction.heredocs]
            return {
                "prepend_shell": instruction.command.is_shell,
                "command": list(instruction.command.words),
                "files": files,
                "flags_used": list(instruction.flags),
            }
        case _:
            raise AssertionError(f"the table has a row that expects something of {instruction}")


@needs_data
def test_every_row_has_a_test() -> None:
    covered = rows("instruction", "health_interval", "dockerfile", "run_device", "json_args", "builder_flags")
    assert len(covered) == 67


@needs_data
@pytest.mark.parametrize("row", rows("instruction"), ids=label)
def test_instruction(row: dict[str, Any]) -> None:
    if row["ok"]:
        found = describe(only_instruction(row["text"]))
        assert {key: found[key] for key in row.get("expect", {})} == row.get("expect", {})
        return
    with pytest.raises(DockerfileError) as raised:
        only_instruction(row["text"])
    if "error" in row:
        assert raised.value.message == row["error"]
    else:
        assert row["error_contains"] in raised.value.message


@needs_data
@pytest.mark.parametrize("row", rows("health_interval"), ids=label)
def test_interval(row: dict[str, Any]) -> None:
    if row["ok"]:
        parse_duration(row["text"])
        return
    with pytest.raises(DockerfileError, match=row["error_contains"]):
        parse_duration(row["text"])


@needs_data
@pytest.mark.parametrize("row", rows("run_device"), ids=label)
def test_device(row: dict[str, Any]) -> None:
    if row["ok"]:
        assert parse_device(row["text"]) == (row["expect"]["name"], row["expect"]["required"])
        return
    with pytest.raises(DockerfileError) as raised:
        parse_device(row["text"])
    assert raised.value.message == row["error"]


@needs_data
@pytest.mark.parametrize("row", rows("json_args"), ids=label)
def test_json_arguments(row: dict[str, Any]) -> None:
    command = parse_instruction(Node(name="cmd", arguments=tuple(row["args"]), is_json=row["json"]))
    assert list(command.command.words) == row["expect"]["args"]  # type: ignore[attr-defined]


@needs_data
@pytest.mark.parametrize("row", rows("builder_flags"), ids=label)
def test_flags(row: dict[str, Any]) -> None:
    kinds = {flag["name"]: KINDS[flag["type"]] for flag in row["flags"]}
    if not row["ok"]:
        with pytest.raises(DockerfileError):
            parse_flags(row["args"], kinds)
        return
    found = parse_flags(row["args"], kinds)
    expected = row.get("expect", {})
    defaults = {flag["name"]: flag["default"] for flag in row["flags"]}
    assert {name: found.get(name, defaults[name]) for name in expected.get("values", {})} == expected.get("values", {})
    assert sorted(found) == expected.get("used", sorted(found))


@needs_data
@pytest.mark.parametrize("row", rows("dockerfile"), ids=lambda row: row["test"])
def test_comments_describe_what_they_stand_above(row: dict[str, Any]) -> None:
    file = parse_dockerfile(row["text"])
    expected = row["expect"]
    for stage in expected["stages"]:
        found = file.stages[stage["index"]]
        assert found.start.comment == stage["doc_comment"]
        pairs = [
            (command, pair.name, pair.comment)
            for command, instruction in enumerate(found.instructions)
            if isinstance(instruction, Arg)
            for pair in instruction.pairs
        ]
        assert pairs == [(arg["command"], arg["key"], arg["doc_comment"]) for arg in stage["args"]]
    found_args = [(pair.name, pair.comment) for arg in file.arguments for pair in arg.pairs]
    assert found_args == [(arg["key"], arg["doc_comment"]) for arg in expected["meta_args"]]


@pytest.mark.parametrize(
    ("text", "line", "message", "hint"),
    [
        ("FROM a\nRUM ls", 2, "unknown instruction: RUM, in the line 'RUM ls'", "did you mean RUN?"),
        ("FROM a\nQWERTY ls", 2, "unknown instruction: QWERTY", "expected one of ADD, ARG"),
        ("RUN ls", 1, "expected FROM before RUN", "RUN ls"),
        ("ARG a", None, "expected at least one FROM", ""),
        ("FROM a b", 1, "FROM requires", "FROM a b"),
        ("FROM a AS 1b", 1, "expected a stage name", ""),
        ("FROM a\nCOPY --form=b c d", 2, "unknown flag: --form", "did you mean --from?"),
        ("FROM a\nSHELL bash", 2, "JSON form", ""),
        ("FROM a\nHEALTHCHECK --interval=x CMD y", 2, "expected interval to be a duration", ""),
        ("FROM a\nHEALTHCHECK --retries=-1 CMD y", 2, "expected --retries", ""),
        ("FROM a\nHEALTHCHECK NOPE", 2, "expected CMD or NONE", ""),
        ("FROM a\nRUN --network=bridge ls", 2, "expected --network", ""),
        ('FROM a\nRUN ["a\\u0000"]', 2, "null character", ""),
        ("FROM a\nRUN", 2, "RUN requires at least one argument", ""),
    ],
)
def test_what_is_wrong_and_where(text: str, line: int | None, message: str, hint: str) -> None:
    with pytest.raises(DockerfileError) as raised:
        parse_dockerfile(text, name="Dockerfile")
    assert raised.value.where == ("Dockerfile" if line is None else f"Dockerfile:{line}")
    assert message in raised.value.message
    assert hint in raised.value.hint


def test_health_check_as_the_configuration_has_it() -> None:
    check = only_instruction('HEALTHCHECK --interval=1m30s --timeout=0s --retries=3 CMD ["a","b"]')
    assert isinstance(check, Healthcheck)
    assert check.check == {"Test": ["CMD", "a", "b"], "Interval": 90_000_000_000, "Retries": 3}


WORDS = st.lists(
    st.sampled_from(["FROM", "RUN", "COPY", "ENV", "a", "a=b", "--from=x", "<<E", "\n", "[", '["a"]', "E"])
)


@given(st.one_of(st.text(), WORDS.map(" ".join), WORDS.map(lambda words: "FROM a\n" + " ".join(words))))
def test_any_text_becomes_a_dockerfile_or_is_refused(text: str) -> None:
    try:
        parse_dockerfile(text)
    except DockerfileError as error:
        assert error.where.startswith("Dockerfile")


@given(st.text(alphabet="0123456789.hmsnuµ+-x"))
def test_any_duration_is_read_or_refused(text: str) -> None:
    try:
        assert 0 <= parse_duration(text) < 1 << 63
    except DockerfileError:
        pass
