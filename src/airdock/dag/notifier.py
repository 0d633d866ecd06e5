"""Callbacks that are objects: what is to be said is rendered, then said."""

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["BaseNotifier"]


class BaseNotifier:
    """Subclasses say in `notify` what to do; `template_fields` are attributes that are rendered before."""

    template_fields: Sequence[str] = ()
    template_ext: Sequence[str] = ()

    def __init__(self, **_: Any) -> None: ...

    def notify(self, context: Any) -> None:
        """Say it."""
        raise NotImplementedError(f"{type(self).__name__} has no notify()")

    async def async_notify(self, context: Any) -> None:
        """Say it, from a coroutine."""
        raise NotImplementedError(f"{type(self).__name__} has no async_notify()")

    def render_template_fields(self, context: Mapping[str, Any]) -> None:
        """Render the attributes that are templates, in place."""
        task = context.get("task")
        for name in self.template_fields:
            value = getattr(self, name, None)
            setattr(self, name, task.render_template(value, context) if task is not None else value)

    def __call__(self, *args: Any) -> None:
        context: Any = args[0] if args else {}
        context["notifier"] = self
        self.render_template_fields(context)
        self.notify(context)
