"""Build checks: what a Dockerfile says that works and isn't meant, or won't work for long.

The rules are BuildKit's, with its names and words, so that what is written about them holds here too:
https://docs.docker.com/reference/build-checks/. Which of them are looked at, `# check=skip=A,B;error=true` at the top
of the file says, or the build argument BUILDKIT_DOCKERFILE_CHECK in the same form. A comment `# check=skip=A,B` right
above an instruction is for that one.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from airdock.builder.ignore import IgnoreRules
from airdock.builder.instructions import Dockerfile
from airdock.builder.lint_rules import RULES, Finding
from airdock.builder.lint_stages import check_platforms, check_stages
from airdock.builder.lint_text import check_text
from airdock.builder.parser import Document, Node
from airdock.errors import DockerfileError
from airdock.oci.descriptor import Platform
from airdock.record import record

__all__ = ["CheckOptions", "lint", "parse_check", "refuse"]

ARGUMENT: Final = "BUILDKIT_DOCKERFILE_CHECK"


@record
class CheckOptions:
    """Which rules count. `skip` and `experimental` may hold "all"; with `error` a finding fails the build."""

    skip: frozenset[str] = frozenset()
    experimental: frozenset[str] = frozenset()
    error: bool = False

    def wants(self, rule: str) -> bool:
        """Whether findings of the rule are told."""
        if RULES[rule].is_experimental:
            return bool({rule, "all"} & self.experimental) and rule not in self.skip
        return not {rule, "all"} & self.skip


def parse_check(text: str) -> CheckOptions:
    """The value of `# check=`. Raises `DockerfileError`."""
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        key, equals, value = part.partition("=")
        if key not in ("skip", "error", "experimental") or not equals:
            raise DockerfileError(f"expected check= to say skip=, error= or experimental=, found {part!r}")
        found[key] = value.strip()
    error = found.get("error", "false").lower()
    if error not in ("true", "false", "1", "0"):
        raise DockerfileError(f"expected error= in check= to be true or false, found {found['error']!r}")
    return CheckOptions(
        skip=_names(found.get("skip", "")),
        experimental=_names(found.get("experimental", "")),
        error=error in ("true", "1"),
    )


def _names(text: str) -> frozenset[str]:
    names = frozenset(filter(None, (name.strip() for name in text.split(","))))
    return frozenset({"all"}) if "all" in {name.lower() for name in names} else names


def lint(
    document: Document,
    file: Dockerfile,
    *,
    args: Mapping[str, str],
    globals_: Mapping[str, str],
    stages: Iterable[int],
    base_env: Callable[[int], Iterable[str] | None],
    platforms: Iterable[tuple[int, Platform, Platform]] = (),
    ignore: IgnoreRules | None = None,
) -> tuple[Finding, ...]:
    """What the rules find, by line. `stages` are those that are looked into, `base_env` gives the names of variables
    that the image has on which a stage is built. `globals_` are the platform's arguments, `platforms` what the image of
    a stage was to be for and what it is for.
    """
    text = args.get(ARGUMENT) or document.directives.get("check", "")
    options = parse_check(text)
    skipped = {node.line: _skipped(node) for node in document.nodes if node.comments}
    found = [
        *check_text(document, file, globals_=globals_),
        *check_platforms(file, platforms),
        *check_stages(file, stages=frozenset(stages), base_env=base_env, ignore=ignore),
    ]
    kept = {
        finding
        for finding in found
        if options.wants(finding.rule) and not {finding.rule, "all"} & skipped.get(finding.line, frozenset())
    }
    return tuple(sorted(kept, key=lambda one: one.place))


def _skipped(node: Node) -> frozenset[str]:
    """The rules that comments right above an instruction take from it."""
    names: frozenset[str] = frozenset()
    for comment in node.comments:
        key, _, value = comment.partition("=")
        if key.strip() == "check" and value.lstrip().startswith("skip="):
            names |= parse_check(value).skip
    return names


def refuse(document: Document, file: Dockerfile, args: Mapping[str, str], found: Iterable[Finding]) -> None:
    """Raise `DockerfileError` for what was found where the file wants that."""
    findings = list(found)
    options = parse_check(args.get(ARGUMENT) or document.directives.get("check", ""))
    if options.error and findings:
        rules = ", ".join(dict.fromkeys(finding.rule for finding in findings))
        raise DockerfileError(
            f"lint violation found for rules: {rules}",
            where=f"{file.name}:{findings[0].line}",
            hint=findings[0].detail,
        )
