"""Parameters of a DAG run."""

from collections.abc import Mapping
from typing import Any

__all__ = ["Param", "values_of"]


class Param:
    """A parameter with a default value and, as keywords, what JSON Schema says about it."""

    def __init__(self, default: Any = None, description: str | None = None, **schema: Any) -> None:
        self.value = default
        self.description = description
        self.schema = schema

    def __repr__(self) -> str:
        return f"Param({self.value!r})"


def values_of(params: Mapping[str, Any] | None) -> dict[str, Any]:
    """The default values alone."""
    return {name: each.value if isinstance(each, Param) else each for name, each in (params or {}).items()}
