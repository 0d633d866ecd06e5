"""Parameters of a DAG run."""

from collections.abc import Mapping
from typing import Any, Final

from airdock.errors import DagError

__all__ = ["REQUIRED", "Param", "ParamsDict", "check_params", "schemas_of", "values_of"]

REQUIRED: Final = "airdock:required"
"""The word in a schema that says that a run has to give a value: there is no default."""

_NONE: Final[Any] = object()


class Param:
    """A parameter with a default value and, as keywords, what JSON Schema says about it."""

    def __init__(
        self, default: Any = _NONE, description: str | None = None, source: str | None = None, **schema: Any
    ) -> None:
        self.has_value = default is not _NONE
        self.value = default if self.has_value else None
        self.description = description
        self.schema = dict(schema.pop("schema", None) or schema)

    def resolve(self, value: Any = _NONE, suppress_exception: bool = False) -> Any:
        """The value, or the default; DagError where it isn't as the schema says, None with `suppress_exception`."""
        found = self.value if value is _NONE else value
        mistakes = check_params(
            {"value": found}, {"value": self.full_schema} if value is _NONE else {"value": self.schema}
        )
        if mistakes and suppress_exception:
            return None
        if mistakes:
            raise DagError(mistakes[0])
        self.value, self.has_value = found, True
        return found

    @property
    def full_schema(self) -> dict[str, Any]:
        """The schema with description, and with the word that says that there is no default."""
        about = {"description": self.description} if self.description else {}
        return {**self.schema, **about, **({} if self.has_value else {REQUIRED: True})}

    def dump(self) -> dict[str, Any]:
        return {"value": self.value, "description": self.description, "schema": self.schema}

    def __repr__(self) -> str:
        return f"Param({self.value!r})"


class ParamsDict(dict[str, Any]):
    """Airflow's name for a dict of parameters."""


def values_of(params: Mapping[str, Any] | None) -> dict[str, Any]:
    """The default values alone."""
    return {name: each.value if isinstance(each, Param) else each for name, each in (params or {}).items()}


def schemas_of(params: Mapping[str, Any] | None) -> dict[str, dict[str, Any]]:
    """What is known about each value beside the value."""
    found = {name: each.full_schema for name, each in (params or {}).items() if isinstance(each, Param)}
    return {name: schema for name, schema in found.items() if schema}


def check_params(values: Mapping[str, Any], schemas: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What is wrong with the values of a run, one sentence for each mistake."""
    from airdock.dag.json_schema import find_mistakes  # most DAGs have no schemas

    found = []
    for name, schema in schemas.items():
        value = values.get(name)
        if value is None and schema.get(REQUIRED):
            found.append(f"param {name!r}: expected a value, found none")
        else:
            found += [f"param {name!r}: {mistake}" for mistake in find_mistakes(value, schema)]
    return found
