"""Runs the triggers of many deferred tasks in one asyncio loop: `python -m airdock.triggers.inside`.

Lines of JSON come in on standard input, and go out on the descriptor that standard output was; what triggers print goes
to standard error.

    in     {"add": id, "path": "module.Class", "kwargs": {…}}    {"drop": id}
    out    {"ready": true}    {"fired": id, "event": …}    {"failed": id, "error": "…"}

A trigger tells once. The end of the input ends the process.
"""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine, Mapping
from importlib import import_module
from typing import Any

from airdock.runner.inside.wire import pack, unpack

__all__ = ["Triggers", "main"]

Tell = Callable[[Mapping[str, Any]], None]


class Triggers:
    """The triggers that run now, each as a task of the loop that runs this."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._running: dict[str, asyncio.Task[None]] = {}

    def take(self, message: Mapping[str, Any]) -> None:
        """Do what a line asks for. Adding what runs, and dropping what doesn't, changes nothing."""
        if "add" in message and message["add"] not in self._running:
            self._begin(message["add"], self._run(message["add"], message["path"], message.get("kwargs") or {}))
        elif "drop" in message and (task := self._running.get(message["drop"])):
            task.cancel()

    def _begin(self, id: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._running[id] = task
        task.add_done_callback(lambda _: self._running.pop(id, None))

    async def _run(self, id: str, path: str, kwargs: Mapping[str, Any]) -> None:
        trigger = None
        try:
            trigger = _make(path, unpack(kwargs))  # type: ignore[no-untyped-call]
            event = await anext(aiter(trigger.run()), None)
            if event is None:
                self._tell({"failed": id, "error": f"{path} ended without an event"})
            else:
                self._tell({"fired": id, "event": pack(event.payload)})  # type: ignore[no-untyped-call]
        except Exception as error:  # the code of users
            self._tell({"failed": id, "error": f"{type(error).__name__}: {error}"})
        finally:
            if trigger is not None and hasattr(trigger, "cleanup"):
                await trigger.cleanup()

    async def close(self) -> None:
        """Cancel what still runs and wait until it has cleaned up."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _make(path: str, kwargs: Mapping[str, Any]) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)(**kwargs)


async def _serve(output: int) -> None:
    """Take lines until there are no more."""

    def tell(message: Mapping[str, Any]) -> None:
        data = memoryview(json.dumps(message).encode() + b"\n")
        while data:
            data = data[os.write(output, data) :]

    triggers = Triggers(tell)
    reader = asyncio.StreamReader(limit=64 * 1024 * 1024)
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin.buffer)
    tell({"ready": True})
    while line := await reader.readline():
        triggers.take(json.loads(line))
    await triggers.close()


def main() -> None:
    """Serve until standard input ends."""
    from airdock.compat import install

    install()
    output = os.dup(1)
    os.dup2(2, 1)
    asyncio.run(_serve(output))


if __name__ == "__main__":
    main()
