"""Jinja templates in a task's arguments. Jinja is imported only where there is something to render."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from airdock.dag.xcom_arg import nested_fields, rebuild

if TYPE_CHECKING:
    from airdock.dag.dag import DAG
    from airdock.dag.node import Node
    from airdock.dag.operator import BaseOperator

__all__ = [
    "Literal",
    "Templates",
    "awaits_rendering",
    "has_template",
    "keeps_plain_text",
    "literal",
    "options_of",
    "search_folders",
]

_MARKS: Final = ("{{", "{%", "{#")
_OF_AIRFLOW: Final = frozenset({"native", "undefined", "filters"})
"""Options that aren't Jinja's."""


class Literal:
    """A value that is taken as it is, whatever looks like a template in it."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def resolve(self, context: Mapping[str, Any]) -> Any:
        return self.value


def literal(value: Any) -> Literal:
    """The value as an argument that isn't rendered."""
    return Literal(value)


class Templates:
    """Renders values for one task in one run.

    `extensions` are endings of names whose files are read instead. `results` came out of other tasks: wherever one of
    them is met it is taken as it is.
    """

    def __init__(
        self,
        context: Mapping[str, Any],
        *,
        folders: tuple[str, ...] = (),
        extensions: tuple[str, ...] = (),
        options: Mapping[str, Any] | None = None,
        macros: Mapping[str, Any] | None = None,
        environment: Any = None,
        results: Iterable[Any] = (),
    ) -> None:
        self.context = context
        self.macros = dict(macros or {})
        self.folders = folders
        self.extensions = extensions
        self.options = dict(options or {})
        self._environment = environment
        self._results = tuple(results)  # kept, so that their ids stay theirs
        self._seen = {id(each) for each in self._results}
        self._keeps_plain_text = environment is None and keeps_plain_text(self.options)

    @classmethod
    def of(cls, task: "BaseOperator", context: Mapping[str, Any], environment: Any = None) -> "Templates":
        """As the task and its DAG say."""
        dag = task.dag
        return cls(
            context,
            folders=(dag.fileloc.rpartition("/")[0], *search_folders(dag)),
            extensions=tuple(task.template_ext),
            options=options_of(task, dag),
            macros=dag.user_defined_macros,
            environment=environment,
            results=task.results,
        )

    def render(self, value: Any) -> Any:
        """The value with results resolved and every text in it rendered; what a result holds is taken as it is.

        Of the subclasses of containers named tuples stay what they are, as in Airflow. Objects that name their
        `template_fields` are rendered in place.
        """
        if id(value) in self._seen:
            return value
        if isinstance(value, str):
            return self._text(value)
        if hasattr(type(value), "__fspath__"):
            return self._path(value)
        if hasattr(type(value), "resolve"):
            return value.resolve(self.context)
        rebuilt = rebuild(value, self.render)
        if rebuilt is not None:
            return rebuilt
        self._seen.add(id(value))
        self.render_fields(value, nested_fields(value))
        return value

    def render_fields(self, parent: Any, names: Iterable[str]) -> None:
        """Render these attributes of an object in place; one that can be called says its value itself."""
        for name in names:
            value = getattr(parent, name)
            if _is_empty(value):
                continue
            if callable(value):
                setattr(parent, name, value(context=self.context, jinja_env=self._jinja()))
            else:
                setattr(parent, name, self.render(value))

    def _text(self, value: str) -> Any:
        if self.extensions and value.endswith(self.extensions):
            return self._jinja().get_template(value).render(self._variables())
        if self._keeps_plain_text and not has_template(value):
            return value
        return self._jinja().from_string(value).render(self._variables())

    def _path(self, value: Any) -> Any:
        text = value.__fspath__()
        return type(value)(self._text(text)) if isinstance(text, str) and has_template(text) else value

    def _variables(self) -> dict[str, Any]:
        complete = getattr(self.context, "complete", None)
        return {**(complete() if complete is not None else self.context), **self.macros}

    def _jinja(self) -> Any:
        if self._environment is None:
            self._environment = _make_environment(self.folders, self.options)
            self._environment.context_class = _make_context_class(self.context)
        return self._environment


def search_folders(dag: "DAG") -> tuple[str, ...]:
    """The folders of `template_searchpath`: one or several, as text or paths."""
    search = dag.template_searchpath or ()
    return (str(search),) if isinstance(search, str) or hasattr(search, "__fspath__") else tuple(map(str, search))


def options_of(task: "Node", dag: "DAG") -> dict[str, Any]:
    """What makes the environment of Jinja in which a task's templates are rendered."""
    native = vars(task.settings).get("render_template_as_native_obj")
    return {
        "native": dag.render_template_as_native_obj if native is None else native,
        "undefined": dag.template_undefined,
        "filters": dag.user_defined_filters,
        **(dag.jinja_environment_kwargs or {}),
    }


def keeps_plain_text(options: Mapping[str, Any]) -> bool:
    """Whether text without Jinja's usual marks comes out as it is; else `5` is a number, or the marks are others."""
    return not options.get("native") and not options.keys() - _OF_AIRFLOW


def _is_empty(value: Any) -> bool:
    """Whether there is nothing to render; objects such as data frames have no truth."""
    try:
        return not value
    except Exception:
        return False


def has_template(text: str) -> bool:
    """Whether there is a Jinja expression, statement or comment in the text."""
    return any(mark in text for mark in _MARKS)


def awaits_rendering(value: Any, extensions: tuple[str, ...] = (), *, keeps_plain: bool = True) -> bool:
    """Whether something in the value comes out of `Templates.render` as something else.

    `extensions` are endings of names whose files are read; `keeps_plain` is what `keeps_plain_text` says.
    """
    if isinstance(value, str):
        return not keeps_plain or has_template(value) or (bool(extensions) and value.endswith(extensions))
    if isinstance(value, Mapping):
        return any(awaits_rendering(each, extensions, keeps_plain=keeps_plain) for each in value.values())
    if isinstance(value, list | tuple | set):
        return any(awaits_rendering(each, extensions, keeps_plain=keeps_plain) for each in value)
    return isinstance(value, Literal)


def _make_environment(folders: tuple[str, ...], options: Mapping[str, Any]) -> Any:
    import jinja2
    import jinja2.nativetypes

    given = {name: value for name, value in options.items() if name not in _OF_AIRFLOW}
    kind = jinja2.nativetypes.NativeEnvironment if options.get("native") else jinja2.Environment
    environment = kind(
        loader=jinja2.FileSystemLoader(folders),
        undefined=options.get("undefined") or jinja2.StrictUndefined,
        extensions=["jinja2.ext.do"],
        autoescape=False,  # commands and arguments aren't HTML
        **given,
    )
    environment.filters.update(_FILTERS)
    environment.filters.update(options.get("filters") or {})
    return environment


def _make_context_class(context: Mapping[str, Any]) -> Any:
    """What a template names and the complete context lacks is asked for: some of it costs a question."""
    import jinja2.runtime
    import jinja2.utils

    class Asking(jinja2.runtime.Context):
        def resolve_or_missing(self, key: str) -> Any:
            found = super().resolve_or_missing(key)
            return context[key] if found is jinja2.utils.missing and key in context else found

    return Asking


_FILTERS: Final = {
    "ds": lambda value: _date(value).strftime("%Y-%m-%d"),
    "ds_nodash": lambda value: _date(value).strftime("%Y%m%d"),
    "ts": lambda value: _date(value).isoformat(),
    "ts_nodash": lambda value: _date(value).strftime("%Y%m%dT%H%M%S"),
    "ts_nodash_with_tz": lambda value: _date(value).isoformat().replace("-", "").replace(":", ""),
}


def _date(value: datetime) -> datetime:
    return value
