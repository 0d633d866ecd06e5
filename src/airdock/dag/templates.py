"""Jinja templates in a task's arguments. Jinja is imported only where there is something to render."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from airdock.dag.operator import BaseOperator

__all__ = ["Literal", "Templates", "awaits_rendering", "has_template", "literal"]

_MARKS: Final = ("{{", "{%", "{#")


class Literal:
    """A value that is taken as it is, whatever looks like a template in it."""

    def __init__(self, value: Any) -> None:
        self.value = value


def literal(value: Any) -> Literal:
    """The value as an argument that isn't rendered."""
    return Literal(value)


class Templates:
    """Renders values for one task in one run; `extensions` are endings of names whose files are read instead."""

    def __init__(
        self,
        context: Mapping[str, Any],
        *,
        folders: tuple[str, ...] = (),
        extensions: tuple[str, ...] = (),
        options: Mapping[str, Any] | None = None,
        macros: Mapping[str, Any] | None = None,
        environment: Any = None,
    ) -> None:
        self.context = context
        self.macros = dict(macros or {})
        self.folders = folders
        self.extensions = extensions
        self.options = dict(options or {})
        self._environment = environment

    @classmethod
    def of(cls, task: "BaseOperator", context: Mapping[str, Any], environment: Any = None) -> "Templates":
        """As the task and its DAG say."""
        dag = task.dag
        native = getattr(task, "render_template_as_native_obj", None)
        search = dag.template_searchpath or ()
        return cls(
            context,
            folders=(dag.fileloc.rpartition("/")[0], *([search] if isinstance(search, str) else map(str, search))),
            extensions=tuple(task.template_ext),
            options={
                "native": dag.render_template_as_native_obj if native is None else native,
                "undefined": dag.template_undefined,
                "filters": dag.user_defined_filters,
                **(dag.jinja_environment_kwargs or {}),
            },
            macros=dag.user_defined_macros,
            environment=environment,
        )

    def render(self, value: Any) -> Any:
        """The value with every text in it rendered; what has no text comes back as it is."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Literal):
            return value.value
        if type(value) is dict:
            return {key: self.render(each) for key, each in value.items()}
        if type(value) in (list, tuple, set):
            return type(value)(self.render(each) for each in value)
        return value

    def _text(self, value: str) -> Any:
        if self.extensions and value.endswith(self.extensions):
            return self._jinja().get_template(value).render(self._variables())
        if not has_template(value):
            return value
        return self._jinja().from_string(value).render(self._variables())

    def _variables(self) -> dict[str, Any]:
        complete = getattr(self.context, "complete", None)
        return {**(complete() if complete is not None else self.context), **self.macros}

    def _jinja(self) -> Any:
        if self._environment is None:
            self._environment = _make_environment(self.folders, self.options)
            self._environment.context_class = _make_context_class(self.context)
        return self._environment


def has_template(text: str) -> bool:
    """Whether there is a Jinja expression, statement or comment in the text."""
    return any(mark in text for mark in _MARKS)


def awaits_rendering(value: Any, extensions: tuple[str, ...] = (), *, native: bool = False) -> bool:
    """Whether something in the value comes out of `Templates.render` as something else.

    `extensions` are endings of names whose files are read; `native` says that any text may mean something else.
    """
    if isinstance(value, str):
        return native or has_template(value) or (bool(extensions) and value.endswith(extensions))
    if isinstance(value, Mapping):
        return any(awaits_rendering(each, extensions, native=native) for each in value.values())
    if isinstance(value, list | tuple | set):
        return any(awaits_rendering(each, extensions, native=native) for each in value)
    return isinstance(value, Literal)


def _make_environment(folders: tuple[str, ...], options: Mapping[str, Any]) -> Any:
    import jinja2
    import jinja2.nativetypes

    given = {name: value for name, value in options.items() if name not in ("native", "undefined", "filters")}
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
