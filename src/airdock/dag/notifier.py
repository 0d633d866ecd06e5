"""Callbacks that are objects: what is to be said is rendered, then said."""

from collections.abc import Generator, Mapping, Sequence
from typing import Any

from airdock.dag.logged import LoggingMixin
from airdock.dag.templates import Templates

__all__ = ["BaseNotifier"]


class BaseNotifier(LoggingMixin):
    """Subclasses say in `notify` what to do; `template_fields` are attributes that are rendered before.

    One that has the context already can be awaited, and says it by `async_notify`.
    """

    template_fields: Sequence[str] = ()
    template_ext: Sequence[str] = ()

    context: Any = None

    def __init__(self, context: Any = None, **_: Any) -> None:
        self.context = context

    def notify(self, context: Any) -> None:
        """Say it."""
        raise NotImplementedError(f"{type(self).__name__} has no notify()")

    async def async_notify(self, context: Any) -> None:
        """Say it, from a coroutine."""
        raise NotImplementedError(f"{type(self).__name__} has no async_notify()")

    def render_template_fields(self, context: Mapping[str, Any]) -> None:
        """Render the attributes that are templates, in place."""
        task = context.get("task")
        alone = Templates(context, extensions=tuple(self.template_ext))  # of a DAG's callback, which has no task
        for name in self.template_fields:
            value = getattr(self, name, None)
            setattr(self, name, task.render_template(value, context) if task is not None else alone.render(value))

    def __call__(self, *args: Any) -> None:
        self.notify(self._prepare(args[0] if args else {}))

    def __await__(self) -> Generator[Any, None, None]:
        return self.async_notify(self._prepare({} if self.context is None else self.context)).__await__()

    def _prepare(self, context: Any) -> Any:
        context["notifier"] = self
        self.render_template_fields(context)
        return context
