"""What `--format` makes of rows and of documents: a template, `json`, and `table` in front."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from airdock.cli.tables import Column, render_table

__all__ = ["render_documents", "render_rows"]

_ESCAPES: Final = {r"\t": "\t", r"\n": "\n"}


def render_rows(rows: Sequence[Mapping[str, str]], template: str, titles: Mapping[str, str]) -> str:
    """Each row by `template`: "json", a template, or "table " and a template whose columns stand between tabs.

    `titles` has the heading of each field, and with it the fields there are. Raises click.UsageError for fields that
    there aren't.
    """
    if template == "json":
        return "\n".join(json.dumps(dict(row)) for row in rows)
    is_table, text = template == "table" or template.startswith("table "), template.removeprefix("table").lstrip(" ")
    filled = _fill(text if is_table else template, rows, titles)
    if not is_table:
        return "\n".join(filled)
    columns = [Column(title) for title in _fill(text, [titles], titles)[0].split("\t")]
    return render_table(columns, [line.split("\t") for line in filled])


def render_documents(documents: Sequence[Any], template: str | None) -> str:
    """What `inspect` prints: a JSON array, or each document by `template` ("json" for one line each)."""
    if template is None:
        return json.dumps(documents, indent=4, ensure_ascii=False)
    if template == "json":
        return "\n".join(json.dumps(document, ensure_ascii=False) for document in documents)
    return "\n".join(_fill(template, documents, None))


def _fill(text: str, values: Sequence[Any], titles: Mapping[str, str] | None) -> list[str]:
    from airdock.cli.go_template import Template  # most calls have no --format

    for written, meant in _ESCAPES.items():
        text = text.replace(written, meant)
    template = Template(text)
    if titles is not None:
        _check(template, titles)
    return [template.render(value) for value in values]


def _check(template: Any, titles: Mapping[str, str]) -> None:
    """Fields that there aren't are told also where there is no row."""
    try:
        template.render(dict(titles))
    except click.UsageError as error:
        if "expected a field" not in error.message:
            raise
        known = " ".join(f"{{{{.{name}}}}}" for name in titles)
        raise click.UsageError(f"{error.message.partition('; there are')[0]}; there are: {known}") from error
