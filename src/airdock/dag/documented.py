"""What authors write about DAGs, groups and tasks: texts, or files that hold them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

__all__ = ["DOCS", "first_doc", "read_doc"]

DOCS: Final = ("doc_md", "doc", "doc_rst", "doc_yaml", "doc_json")
"""The arguments that say something about a task, the one that is shown first."""


def read_doc(text: str | None, dag_file: str) -> str | None:
    """The text; where it names a file that ends in .md, what that holds. Its path begins in the DAG file's folder."""
    if not text or not text.endswith(".md"):
        return text
    try:
        return (Path(dag_file).parent / text).read_text()
    except (OSError, ValueError):  # it was a text after all
        return text


def first_doc(given: Mapping[str, Any]) -> str:
    """The first of `DOCS` that says something; "" where none does."""
    return next((str(given[name]) for name in DOCS if given.get(name)), "")
