"""`airdock image build --check` and `--call`: what a Dockerfile says, without building it."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from airdock.builder.inspect import find_mistakes, list_arguments, list_targets
from airdock.builder.lint_rules import RULES, Finding

if TYPE_CHECKING:
    from airdock.builder.base import BuildRequest
    from airdock.engine import Engine

__all__ = ["look"]


def look(engine: "Engine", request: "BuildRequest", call: str, *, as_json: bool) -> int:
    """Do what `--call` says and print it; gives the exit code."""
    if call == "check":
        findings = find_mistakes(request, find=engine.find)
        _show_findings(findings, request, as_json=as_json)
        return 1 if findings else 0
    rows = list_targets(request) if call == "targets" else list_arguments(request)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return 0
    columns = ("TARGET", "DESCRIPTION") if call == "targets" else ("BUILD ARG", "VALUE", "DESCRIPTION")
    widths = [max(len(column), *(len(list(row.values())[at]) for row in rows), 0) for at, column in enumerate(columns)]
    for cells in (columns, *(tuple(row.values()) for row in rows)):
        click.echo("   ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())
    return 0


def _show_findings(findings: Sequence[Finding], request: "BuildRequest", *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"warnings": [finding.to_dict() for finding in findings]}, indent=2))
        return
    if not findings:
        click.echo("Check complete, no warnings found.")
        return
    lines = request.dockerfile.split("\n")
    click.echo(f"Check complete, {len(findings)} warning{'s' if len(findings) > 1 else ''} found!")
    for finding in findings:
        rule = RULES[finding.rule]
        click.echo(f"\nWARNING: {finding.rule} - {rule.url}\n{finding.detail}\n")
        click.echo(f"{request.name}:{finding.line}")
        if finding.line <= len(lines):
            click.echo(f"  {finding.line:4} | >>> {lines[finding.line - 1]}")
