"""Tables of plain text in Docker's shape: upper-case headings, columns as wide as their widest cell, no lines."""

import unicodedata
from collections.abc import Sequence

import click

from airdock.record import positional

__all__ = ["Column", "fit", "render_table", "width"]

_GAP = 3


@positional
class Column:
    """One column; numbers stand on the right."""

    title: str
    right: bool = False


def render_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, indent: str = "") -> str:
    """Heading and rows as lines without trailing blanks."""
    lines = [[column.title for column in columns], *rows]
    widths = [max(width(line[index]) for line in lines) for index in range(len(columns))]
    return "\n".join(
        indent + (" " * _GAP).join(_pad(*parts) for parts in zip(line, widths, columns, strict=True)).rstrip()
        for line in lines
    )


def width(text: str) -> int:
    """The cells that `text` takes on a terminal: wide East Asian letters take two, colours none."""
    text = click.unstyle(text) if "\x1b" in text else text
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def fit(text: str, cells: int) -> str:
    """`text` cut to `cells`, with an ellipsis where something was cut off."""
    if width(text) <= cells:
        return text
    while text and (excess := width(text) - (cells - 1)) > 0:
        text = text[: -max(1, excess // 2)]  # no letter takes more than two cells
    return text + "…"


def _pad(text: str, cells: int, column: Column) -> str:
    blanks = " " * (cells - width(text))
    return blanks + text if column.right else text + blanks
