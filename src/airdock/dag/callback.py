"""What is called for a deadline that was missed: where it is found again, and with which arguments."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, ClassVar, Final

from airdock.dag.names import calling_place
from airdock.errors import DagError

__all__ = ["AsyncCallback", "Callback", "SyncCallback"]

_WIRE: Final = "airdock.runner.inside.wire"
"""What carries values to the runner. Beside this folder, so it is plugged in by name."""
_COROUTINE: Final = 0x80
"""The flag of code that `async def` makes; `inspect` costs more than the rest of the module."""


class Callback:
    """What is called, and with which arguments besides the context.

    It is a function or class at the top of a module, or the path of one. DagError for what can't be found again where
    the callback is called, and for arguments that can't be carried there.
    """

    kind: ClassVar[str] = ""

    def __init__(self, callback_callable: Callable[..., Any] | str, kwargs: Mapping[str, Any] | None = None) -> None:
        self.where = calling_place()
        self.path = self._path_of(callback_callable)
        if "context" in (kwargs or {}):
            raise DagError("expected other arguments than `context`, which every callback is given", where=self.where)
        self.kwargs = dict(kwargs or {})

    def _path_of(self, target: Callable[..., Any] | str) -> str:
        if isinstance(target, str):
            return _checked_path(target.strip(), self.where)
        name = getattr(target, "__qualname__", None)
        if not callable(target) or name is None:
            raise DagError(
                f"expected a function, a class or the path of one, found {type(target).__name__} {target!r}",
                where=self.where,
                hint="name the class, and give what it is made with by kwargs={…}",
            )
        if not name.isidentifier():
            raise DagError(
                f"expected a function or class at the top of its file, found {name}",
                where=self.where,
                hint="it is imported anew where it is called: write it with def or class at the top of the file",
            )
        self._check(target)
        return f"{target.__module__}.{name}"

    def _check(self, target: Any) -> None:
        """DagError where this kind of callback can't be called."""
        if not callable(target):
            raise DagError(
                f"expected {self.path} to be a function or class, found {type(target).__name__}", where=self.where
            )

    def find(self) -> Any:
        """What the path names; None where it can't be imported here. DagError where it can't be called."""
        module, _, name = self.path.rpartition(".")
        try:
            found = getattr(import_module(module), name)
        except Exception:  # the module is the author's
            return None
        self._check(found)
        return found

    def to_json(self) -> dict[str, Any]:
        """The callback as `runner.inside.missed` takes it. DagError."""
        try:
            kwargs = import_module(_WIRE).pack(self.kwargs, "kwargs")
        except TypeError as error:
            raise DagError(f"the arguments of {self.path} can't be carried: {error}", where=self.where) from error
        return {"kind": self.kind, "path": self.path, "kwargs": kwargs}


class AsyncCallback(Callback):
    """A coroutine function, or a class whose objects can be awaited, such as a notifier."""

    kind = "async"

    def _check(self, target: Any) -> None:
        code = getattr(target, "__code__", None)
        if not (getattr(code, "co_flags", 0) & _COROUTINE or hasattr(target, "__await__")):
            raise DagError(
                f"expected the callable of an AsyncCallback to be awaitable, found {target!r}",
                where=self.where,
                hint="write it with async def, or use SyncCallback",
            )


class SyncCallback(Callback):
    """A function, or a class whose objects can be called, such as a notifier. `executor` is kept and has no effect."""

    kind = "sync"

    def __init__(
        self,
        callback_callable: Callable[..., Any] | str,
        kwargs: Mapping[str, Any] | None = None,
        executor: str | None = None,
    ) -> None:
        super().__init__(callback_callable, kwargs)
        self.executor = executor


def _checked_path(path: str, where: str) -> str:
    parts = path.split(".")
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise DagError(f"expected the path of a function or class, such as package.module.name, found {path!r}",
                       where=where)  # fmt: skip
    return path
