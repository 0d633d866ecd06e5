"""How the store has work done that needs the account's id mapping: by name, in a child that has it."""

import importlib
import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

__all__ = ["Calls", "DirectCalls", "LateCalls"]


class Calls(Protocol):
    """Runs functions where the ids of containers mean what they mean inside.

    `mapping` says how ids inside relate to ids on the disk: "root" (the same; launchers mount layers id-mapped),
    "ranges" (shifted into the account's ranges), "one" (everything belongs to the account). `id_shift` is what a
    container's upper folder has on top of its owners, as `call` sees them.

    `call` runs `package.module:function` with keyword arguments in a child process that sees the same files; arguments
    and result are JSON, an AirdockError comes back as itself. Calls of several threads may run at once.
    """

    @property
    def id_shift(self) -> int: ...

    @property
    def mapping(self) -> str: ...

    def call(self, function: str, arguments: Mapping[str, Any]) -> Any: ...


class LateCalls:
    """Calls by what `make` gives, asked for when there is something to call: looking at images needs nobody."""

    def __init__(self, make: Callable[[], Calls]) -> None:
        self._make = make

    @property
    def id_shift(self) -> int:
        return self._make().id_shift

    @property
    def mapping(self) -> str:
        return self._make().mapping

    def call(self, function: str, arguments: Mapping[str, Any]) -> Any:
        return self._make().call(function, arguments)


class DirectCalls:
    """Runs the functions in this very process: for reading, and where the account's own ids are enough."""

    def __init__(self, *, mapping: str = "one", id_shift: int = 0) -> None:
        self.mapping = mapping
        self.id_shift = id_shift

    def call(self, function: str, arguments: Mapping[str, Any]) -> Any:
        module, _, name = function.partition(":")
        result = getattr(importlib.import_module(module), name)(**json.loads(json.dumps(arguments)))
        return json.loads(json.dumps(result))
