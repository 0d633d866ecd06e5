"""The part of Go's templates that people use with `--format`: fields, `json .`, and `table` in front."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from airdock.cli.tables import Column, render_table

__all__ = ["render_rows"]

_ACTION: Final = re.compile(r"\{\{-?\s*(?P<json>json\s+)?\.(?P<field>\w*)\s*-?\}\}")
_ANY_ACTION: Final = re.compile(r"\{\{.*?\}\}")
_ESCAPES: Final = {r"\t": "\t", r"\n": "\n"}


def render_rows(rows: Sequence[Mapping[str, str]], template: str, titles: Mapping[str, str]) -> str:
    """Each row by `template`: "json", a template, or "table " and a template whose columns stand between tabs.

    `titles` has the heading of each field, and with it the fields there are. Raises click.UsageError for anything
    else in braces.
    """
    if template == "json":
        template = "{{json .}}"
    for written, meant in _ESCAPES.items():
        template = template.replace(written, meant)
    table, template = template.startswith("table "), template.removeprefix("table ")
    _check(template, titles)
    lines = [_fill(template, row) for row in rows]
    if not table:
        return "\n".join(lines)
    columns = [Column(title) for title in _fill(template, titles).split("\t")]
    return render_table(columns, [line.split("\t") for line in lines])


def _check(template: str, titles: Mapping[str, str]) -> None:
    for action in _ANY_ACTION.findall(template):
        match = _ACTION.fullmatch(action)
        if match is None or (match["field"] and match["field"] not in titles) or not (match["field"] or match["json"]):
            known = " ".join(f"{{{{.{name}}}}}" for name in titles)
            raise click.UsageError(f"expected fields of a row in --format, got {action}; there are: {known}")


def _fill(template: str, row: Mapping[str, str]) -> str:
    def one(match: re.Match[str]) -> str:
        value: Any = row[match["field"]] if match["field"] else dict(row)
        return json.dumps(value) if match["json"] else str(value)

    return _ACTION.sub(one, template)
