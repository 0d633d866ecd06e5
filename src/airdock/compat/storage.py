"""Airflow's ObjectStoragePath, over files of this machine. Object stores need their own libraries in the task."""

from pathlib import Path
from typing import Any

from airdock.errors import DagError

__all__ = ["ObjectStoragePath"]


class ObjectStoragePath(type(Path())):  # type: ignore[misc]  # the class of this system's paths
    """A path by `file://` URI, or as it is."""

    def __new__(cls, path: Any = "", *more: Any, conn_id: str | None = None, **_: Any) -> Any:
        text = str(path)
        scheme, is_uri, rest = text.partition("://")
        if is_uri and scheme.rpartition("@")[2] != "file":
            raise DagError(
                f"expected an ObjectStoragePath of file://, found {text!r}",
                hint="give the task the library of its store as a requirement, such as s3fs, and open it there",
            )
        return super().__new__(cls, rest if is_uri else text, *more)
