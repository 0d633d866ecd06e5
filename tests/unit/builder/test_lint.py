"""Build checks, held against BuildKit's own cases."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airdock.builder.dockerfile import make_dockerfile
from airdock.builder.ignore import IgnoreRules, parse_ignore_file
from airdock.builder.instructions import Dockerfile
from airdock.builder.lint import lint, parse_check, refuse
from airdock.builder.lint_rules import RULES, Finding
from airdock.builder.parser import parse
from airdock.builder.platforms import platform_arguments
from airdock.errors import DockerfileError
from airdock.oci.descriptor import Platform

DATA = Path(__file__).parents[4] / "shared" / "data" / "dockerfile" / "lint.json"
ROWS: list[dict[str, Any]] = json.loads(DATA.read_text())["rows"] if DATA.exists() else []
PLATFORM = Platform(os="linux", architecture="amd64")


def check(
    text: str, *, ignore: str | None = None, args: dict[str, str] | None = None, stages: set[int] | None = None
) -> tuple[Finding, ...]:
    document = parse(text)
    file = make_dockerfile(document)
    found = lint(
        document,
        file,
        args=args or {},
        globals_=platform_arguments(PLATFORM, host=PLATFORM),
        stages=stages or range(len(file.stages)),
        base_env=lambda index: (),
        ignore=None if ignore is None else IgnoreRules(parse_ignore_file(ignore)),
    )
    refuse(document, file, args or {}, found)
    return found


def plain(finding: Finding) -> dict[str, object]:
    return finding.to_dict()


def _needed(file: Dockerfile) -> set[int]:
    """The last stage and those that it is built upon, as far as these cases go."""
    names = [stage.start.alias for stage in file.stages]
    index = len(file.stages) - 1
    needed = {index}
    while (base := file.stages[index].start.image) in names[:index]:
        index = names.index(base)
        needed.add(index)
    return needed


@pytest.mark.skipif(not ROWS, reason=f"the conformance data isn't at {DATA}")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_findings_are_buildkits(row: dict[str, Any]) -> None:
    stages = _needed(make_dockerfile(parse(row["dockerfile"])))
    args = {name.removeprefix("build-arg:"): value for name, value in row.get("frontend_attrs", {}).items()}
    if row.get("build_error", "").startswith("lint violation"):
        with pytest.raises(DockerfileError) as raised:
            check(row["dockerfile"], ignore=row.get("dockerignore"), args=args, stages=stages)
        assert raised.value.message == row["build_error"]
        assert raised.value.where == f"Dockerfile:{row['build_error_line']}"
        return
    found = check(row["dockerfile"], ignore=row.get("dockerignore"), args=args, stages=stages)
    assert [plain(finding) for finding in found] == row["warnings"]
    if "lint_request_warnings" in row:
        everywhere = check(row["dockerfile"], args=args)
        assert [{**plain(finding)} for finding in everywhere] == [
            {**warning, "line": finding.line}
            for warning, finding in zip(row["lint_request_warnings"], everywhere, strict=True)
        ]


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("StageNameCasing", "FROM scratch AS Base\n"),
        ("FromAsCasing", "FROM scratch as base\n"),
        ("MaintainerDeprecated", "FROM scratch\nMAINTAINER me\n"),
        ("MultipleInstructionsDisallowed", 'FROM scratch\nCMD ["a"]\nCMD ["b"]\n'),
        ("SecretsUsedInArgOrEnv", "FROM scratch\nENV AWS_SECRET_ACCESS_KEY=1\n"),
        ("SecretsUsedInArgOrEnv", "FROM scratch\nARG github_token\n"),
        ("RedundantTargetPlatform", "FROM --platform=$TARGETPLATFORM scratch\n"),
        ("FromPlatformFlagConstDisallowed", "FROM --platform=linux/amd64 scratch\n"),
        ("ExposeProtoCasing", "FROM scratch\nEXPOSE 80/TcP\n"),
        ("ExposeInvalidFormat", "FROM scratch\nEXPOSE 80:80\n"),
        ("InvalidDefaultArgInFrom", "ARG V\nFROM busybox:$V\n"),
        ("UndefinedVar", "FROM scratch\nENV A=$B\n"),
        ("WorkdirRelativePath", "FROM scratch\nWORKDIR a\n"),
    ],
)
def test_each_rule_finds_its_own(rule: str, text: str) -> None:
    assert [finding.rule for finding in check(text)] == [rule]
    assert check(f"# check=skip={rule}\n{text}") == ()
    assert check(text, args={"BUILDKIT_DOCKERFILE_CHECK": f"skip={rule}"}) == ()


@pytest.mark.parametrize(
    "text",
    [
        "FROM scratch\nENV PUBLIC_KEY=1 KEYBOARD=us\n",
        "FROM scratch\nWORKDIR /a\nWORKDIR b\n",
        "FROM scratch AS a\nWORKDIR /a\nFROM a\nWORKDIR b\n",
        "FROM scratch\nARG B\nENV A=${B:-1}\n",
        "FROM scratch\nENV A=1\nENV C=$A PATH=/x:$PATH\n",
    ],
)
def test_what_is_meant_is_not_found(text: str) -> None:
    assert check(text) == ()


def test_images_for_another_platform_are_found() -> None:
    text = "FROM base\n"
    document = parse(text)
    file = make_dockerfile(document)
    for found, expected in ((replace(PLATFORM, architecture="arm64"), 1), (replace(PLATFORM, variant="v2"), 0)):
        findings = lint(
            *(document, file),
            args={},
            globals_={},
            stages=[0],
            base_env=lambda index: (),
            platforms=[(0, PLATFORM, found)],
        )
        assert [finding.detail for finding in findings] == [
            'Base image base was pulled with platform "linux/arm64", expected "linux/amd64" for current build'
        ] * expected


def test_all_22_rules_are_there() -> None:
    assert len(RULES) == 22


@pytest.mark.parametrize("text", ["skip", "errors=true", "error=maybe"])
def test_a_check_that_says_something_else(text: str) -> None:
    with pytest.raises(DockerfileError, match="check="):
        parse_check(text)
