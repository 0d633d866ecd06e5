"""Airflow's ObjectStoragePath, over files of this machine. Object stores need their own libraries in the task."""

from pathlib import Path
from typing import Any, NoReturn

from airdock.errors import DagError

__all__ = ["ElsewherePath", "ObjectStoragePath"]


class ElsewherePath:
    """A path in an object store: it can be named and put together, and says on its first use that nothing reads it."""

    template_fields = ("_text",)

    def __init__(self, text: str, conn_id: str | None = None) -> None:
        self._text = text.rstrip("/")
        self._conn_id = conn_id

    def __truediv__(self, name: object) -> "ElsewherePath":
        return ElsewherePath(f"{self._text}/{name}", self._conn_id)

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise DagError(
            f"expected an ObjectStoragePath of file:// to use {name} of, found {self._text!r}",
            hint="give the task the library of its store as a requirement, such as s3fs, and open it there",
        )

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"ObjectStoragePath({self._text!r})"


def ObjectStoragePath(path: Any = "", *more: Any, conn_id: str | None = None, **_: Any) -> Any:  # noqa: N802 (Airflow's)
    """A path by `file://` URI or as it is; one of another store can be named only."""
    text = str(path)
    scheme, is_uri, rest = text.partition("://")
    if is_uri and scheme.rpartition("@")[2] != "file":
        found = ElsewherePath(text, conn_id)
        for each in more:
            found = found / each
        return found
    return Path(rest if is_uri else text, *more)
