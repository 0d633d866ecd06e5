"""Image names against the rows of the distribution project, and what people see."""

import json
from pathlib import Path
from typing import Any

import pytest

from airdock.errors import AirdockError, InvalidReferenceError
from airdock.oci.digest import Digest
from airdock.oci.reference import (
    Reference,
    parse_any_reference,
    parse_exact_reference,
    parse_reference,
    render_reference,
)

DATA = Path(__file__).parents[4] / "shared/data/reference.json"
ROWS: list[dict[str, Any]] = json.loads(DATA.read_text())["rows"] if DATA.exists() else []
SOME_DIGEST = "sha256:" + "ab" * 32


def run_row(row: dict[str, Any]) -> Reference | Digest | bool:
    """Do what the upstream function of the row does, with ours."""
    text = row["input"]
    match row["function"]:
        case "Parse" | "Field":
            return parse_exact_reference(text)
        case "WithName" | "WithTag" | "WithDigest":
            reference = parse_reference(text) if row["test"] == "TestInvalidReferenceComponents" else parse_name(text)
            if "with_digest" in row:
                reference = reference.with_digest(Digest(row["with_digest"]))
            return reference.with_tag(row["with_tag"]) if "with_tag" in row else reference
        case "ParseNamed":
            reference = parse_reference(text)
            if render_reference(reference) != text:
                raise InvalidReferenceError("not canonical")
            return reference
        case "ParseNormalizedNamed":
            return parse_reference(text)
        case "ParseAnyReference":
            return parse_any_reference(text)
        case "ParseDockerRef":
            return parse_reference(text).with_default_tag()
        case "FamiliarMatch":
            found = parse_any_reference(text)
            assert isinstance(found, Reference)
            return found.matches(row["pattern"])
    raise AssertionError(row["function"])


def parse_name(text: str) -> Reference:
    """A bare name, as upstream's WithName wants it."""
    reference = parse_exact_reference(text)
    if reference.tag is not None or reference.digest is not None:
        raise InvalidReferenceError("expected a bare name")
    return reference


@pytest.mark.skipif(not ROWS, reason=f"{DATA} is not on this machine")
def test_all_rows_are_there() -> None:
    assert len(ROWS) == 225


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['test']}-{row['input'][:40]}")
def test_agrees_with_upstream(row: dict[str, Any]) -> None:
    if "error" in row:
        with pytest.raises(AirdockError) as caught:
            run_row(row)
        assert "expected" in caught.value.message or caught.value.message in ("not canonical",)
        return
    found = run_row(row)
    if isinstance(found, bool):
        assert found == row["match"]
        return
    if isinstance(found, Digest):
        assert row["digest_only"] and found == row["string"]
        return
    views = {
        "name": found.name,
        "domain": found.registry,
        "path": found.repository,
        "tag": found.tag or "",
        "digest": found.digest or "",
        "string": str(found),
        "familiar": found.familiar_name,
        "familiar_string": found.familiar,
    }
    assert {key: views[key] for key in views if key in row} == {key: row[key] for key in views if key in row}


def test_short_names_and_back() -> None:
    reference = parse_reference("python:3.12-slim")
    assert reference == Reference(registry="docker.io", repository="library/python", tag="3.12-slim")
    assert str(reference) == "docker.io/library/python:3.12-slim"
    assert reference.familiar == "python:3.12-slim"
    assert parse_reference("alpine").with_default_tag().familiar == "alpine:latest"
    assert parse_reference(f"alpine:3@{SOME_DIGEST}").with_default_tag().familiar == f"alpine@{SOME_DIGEST}"


def test_errors_say_what_was_found() -> None:
    with pytest.raises(InvalidReferenceError) as caught:
        parse_reference("My/Image:1")
    assert "'My/Image:1'" in caught.value.message and "lower case" in caught.value.message
    assert "python:3.12-slim" in caught.value.hint
    with pytest.raises(InvalidReferenceError):
        parse_reference("alpine\n")
    with pytest.raises(InvalidReferenceError):
        parse_reference("").with_tag("x")
    with pytest.raises(InvalidReferenceError):
        parse_reference("alpine").with_tag("-x")


@pytest.mark.parametrize("pattern", ["[", "[a", "a\\", "[]a]", "[a-]", "[-a]", "x["])
def test_broken_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(InvalidReferenceError):
        parse_reference("xyz").matches(pattern)


@pytest.mark.parametrize(
    ("pattern", "matches"), [("al*", True), ("alp[^x]ne", True), ("alpin\\e", True), ("*:3", True), ("?", False)]
)
def test_patterns_cover_the_familiar_form(pattern: str, matches: bool) -> None:
    assert parse_reference("alpine:3").matches(pattern) is matches
