"""Parameters of a DAG run."""

from collections.abc import Iterator, Mapping, MutableMapping
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
        mistakes = _find_mistakes(found, self.full_schema if value is _NONE else self.schema)
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


class ParamsDict(MutableMapping[str, Any]):
    """Parameters by name: what is read is the value, what is set is checked by the Param that is there."""

    def __init__(self, dict_obj: Mapping[str, Any] | None = None, suppress_exception: bool = False) -> None:
        self._params = {name: _param(each) for name, each in (dict_obj or {}).items()}
        self.suppress_exception = suppress_exception

    def __getitem__(self, name: str) -> Any:
        return self._params[name].value

    def __setitem__(self, name: str, value: Any) -> None:
        """DagError where the value isn't as the schema says."""
        if isinstance(value, Param) or name not in self._params:
            self._params[name] = _param(value)
            return
        try:
            self._params[name].resolve(value, suppress_exception=self.suppress_exception)
        except DagError as error:
            raise DagError(f"param {name!r}: {error.message}") from error

    def __delitem__(self, name: str) -> None:
        del self._params[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._params)

    def __len__(self) -> int:
        return len(self._params)

    def get_param(self, name: str) -> Param:
        """The Param itself. KeyError."""
        return self._params[name]

    def dump(self) -> dict[str, Any]:
        """The values alone."""
        return dict(self)

    def validate(self) -> dict[str, Any]:
        """The values, checked. DagError for one that isn't as its schema says, or that is missing."""
        for name, each in self._params.items():
            try:
                each.resolve(suppress_exception=self.suppress_exception)
            except DagError as error:
                raise DagError(f"param {name!r}: {error.message}") from error
        return self.dump()

    def __repr__(self) -> str:
        return repr(self.dump())


def _param(value: Any) -> Param:
    return value if isinstance(value, Param) else Param(value)


def values_of(params: Mapping[str, Any] | None) -> dict[str, Any]:
    """The default values alone."""
    return {name: each.value if isinstance(each, Param) else each for name, each in (params or {}).items()}


def schemas_of(params: Mapping[str, Any] | None) -> dict[str, dict[str, Any]]:
    """What is known about each value beside the value."""
    found = {name: each.full_schema for name, each in (params or {}).items() if isinstance(each, Param)}
    return {name: schema for name, schema in found.items() if schema}


def check_params(values: Mapping[str, Any], schemas: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What is wrong with the values of a run, one sentence for each mistake."""
    return [
        f"param {name!r}: {mistake}"
        for name, schema in schemas.items()
        for mistake in _find_mistakes(values.get(name), schema)
    ]


def _find_mistakes(value: Any, schema: Mapping[str, Any]) -> list[str]:
    if value is None and schema.get(REQUIRED):
        return ["expected a value, found none"]
    from airdock.dag.json_schema import find_mistakes  # most DAGs have no schemas

    try:
        return list(find_mistakes(value, schema))
    except Exception as error:  # a schema is the author's: whatever is in it, it mustn't end who checks
        return [f"its schema can't be understood: {type(error).__name__}: {error}"]
