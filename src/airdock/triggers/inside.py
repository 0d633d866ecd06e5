"""Runs triggers of deferred tasks, or of watched assets, in one asyncio loop: `python -m airdock.triggers.inside`.

Connects to the socket that AIRDOCK_CHANNEL names; frames are those of the runner's channel. What triggers print goes
over a connection of its own: see `printed`.

    in     {"type": "add", "id": n, "path": "module.Class", "kwargs": {…}, "key": {…}, "loader": {…}}
           {"type": "add", …, "asset": {"name", "uri"}} in place of the key, where it watches an asset
           {"type": "drop", "id": n, "killed": true}
    out    {"type": "ready"}    {"type": "fired", "id": n, "event": …}    {"type": "failed", "id": n, "error": "…"}
           {"type": "ended", "id": n}

A trigger of a task tells once; one that watches an asset tells each event, and then that it ended or failed. The end of
the connection ends the process. What triggers ask goes over a connection of its own.
"""

import asyncio
import json
import os
import socket
import sys
from collections.abc import Callable, Coroutine, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from airdock.dag.context import set_current_context
from airdock.dag.importing import import_dag_file, module_name
from airdock.runner.inside.channel import Channel
from airdock.runner.inside.context import Context
from airdock.runner.inside.instance import TaskInstance
from airdock.runner.inside.stores import AssetStates
from airdock.runner.inside.wire import pack, unpack
from airdock.triggers.printed import Printed, whose

__all__ = ["Classes", "Questions", "Triggers", "main"]

Tell = Callable[[Mapping[str, Any]], None]

_LENGTH_BYTES: Final = 4


class Questions:
    """What triggers ask goes to the triggerer over this: one connection, made when the first of them asks."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._channel: Any = None

    def of(self, id: int) -> "Questions":
        """The same, for one trigger."""
        return _Asking(self, id)

    def ask(self, op: str, **fields: Any) -> Any:
        """Blocks until the answer is there. ChannelError where it is no."""
        if self._channel is None:
            self._channel = Channel(self._path)  # type: ignore[no-untyped-call]
        return self._channel.ask(op, **fields)


class _Asking(Questions):
    def __init__(self, questions: Questions, id: int) -> None:
        self._questions, self._id = questions, id

    def ask(self, op: str, **fields: Any) -> Any:
        return self._questions.ask(op, trigger=self._id, **fields)


class Classes:
    """Finds the classes of triggers: in modules, and in DAG files, which are read again when they changed."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[int, Any]] = {}

    def find(self, path: str, loader: Mapping[str, Any]) -> Any:
        """The class `path` names. `loader` is what a task's payload says of its DAG file: "fileloc", "paths"."""
        module, _, name = path.rpartition(".")
        fileloc = str(loader.get("fileloc") or "")
        sys.path += [each for each in loader.get("paths") or () if each not in sys.path]
        if fileloc and module == module_name(fileloc):
            return getattr(self._dag_file(fileloc), name)
        folder = fileloc.rpartition("/")[0]
        if folder and folder not in sys.path:
            sys.path.append(folder)
        return getattr(import_module(module), name)

    def _dag_file(self, fileloc: str) -> Any:
        changed = Path(fileloc).stat().st_mtime_ns
        known = self._files.get(fileloc)
        if known is None or known[0] != changed:
            self._files[fileloc] = known = (changed, import_dag_file(fileloc)[0])
        return known[1]


class Triggers:
    """The triggers that run now, each as a task of the loop that runs this."""

    def __init__(self, tell: Tell, questions: Questions, printed: Printed) -> None:
        self._tell = tell
        self._printed = printed
        self._questions = questions
        self._classes = Classes()
        self._running: dict[int, asyncio.Task[None]] = {}
        self._killed: set[int] = set()

    def take(self, message: Mapping[str, Any]) -> None:
        """Do what a message asks for. Adding what runs, and dropping what doesn't, changes nothing."""
        id = message["id"]
        if message["type"] == "add" and id not in self._running:
            self._begin(id, self._run(id, message))
        elif message["type"] == "drop" and (task := self._running.get(id)):
            if message.get("killed"):
                self._killed.add(id)
            task.cancel()

    def _begin(self, id: int, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._running[id] = task
        task.add_done_callback(lambda _: self._over(id))

    def _over(self, id: int) -> None:
        self._running.pop(id, None)
        self._printed.end(id)

    async def _run(self, id: int, message: Mapping[str, Any]) -> None:
        trigger = None
        whose.set(id)
        try:
            trigger = self._make(id, message)
            if message.get("asset"):
                await self._watch(id, trigger)
                return
            event = await anext(aiter(trigger.run()), None)
            if event is None:
                self._tell({"type": "failed", "id": id, "error": f"{message['path']} ended without an event"})
            else:
                self._tell({"type": "fired", "id": id, "event": _pack(event)})
        except Exception as error:  # the code of users
            self._tell({"type": "failed", "id": id, "error": _describe(error)})
        finally:
            await self._clean_up(id, trigger)

    async def _watch(self, id: int, trigger: Any) -> None:
        """Tell every event of a trigger, and its end."""
        async for event in trigger.run():
            self._tell({"type": "fired", "id": id, "event": _pack(event)})
        self._tell({"type": "ended", "id": id})

    def _make(self, id: int, message: Mapping[str, Any]) -> Any:
        kind = self._classes.find(message["path"], message.get("loader") or {})
        trigger = kind(**unpack(message.get("kwargs") or {}))  # type: ignore[no-untyped-call]
        if message.get("key"):
            asking = self._questions.of(id)
            trigger.task_instance = TaskInstance(message["key"], asking)  # type: ignore[no-untyped-call]
        if message.get("asset"):
            asset = message["asset"]
            watching = TaskInstance({**_NOBODY, "task_id": asset["name"]}, self._questions.of(id))  # type: ignore[no-untyped-call]
            own = {"ti": watching, "inlets": [{"asset": asset}], "outlets": []}
            trigger.asset_state_store = AssetStates(own)  # type: ignore[no-untyped-call]
        return trigger

    async def _clean_up(self, id: int, trigger: Any) -> None:
        killed = id in self._killed
        self._killed.discard(id)
        for name in ("on_kill", "cleanup") if killed else ("cleanup",):
            if hasattr(trigger, name):
                try:
                    await getattr(trigger, name)()
                except Exception as error:  # the code of users; how the trigger ended was told already
                    print(_describe(error), file=sys.stderr, flush=True)  # noqa: T201  goes to the try's log

    async def close(self) -> None:
        """Cancel what still runs and wait until it has cleaned up."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _pack(event: Any) -> Any:
    """The event as JSON; one that ends the task by itself is marked, for the runner."""
    state = getattr(event, "task_instance_state", "")
    if state:
        xcoms = pack(event.xcoms)  # type: ignore[no-untyped-call]
        return {"__airdock__": "end", "state": state, "xcoms": xcoms}
    return pack(event.payload)  # type: ignore[no-untyped-call]


def _describe(error: Exception) -> str:
    """What went wrong in one line, then where."""
    import traceback

    first = f"{type(error).__name__}: {error}".splitlines()[0]
    return "\n".join([first, *"".join(traceback.format_exception(error)).splitlines()])


def _frame(message: Mapping[str, Any]) -> bytes:
    body = json.dumps(message).encode()
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


def _connect(path: str) -> socket.socket:
    """Through the folder's descriptor: addresses of sockets are short."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    folder = os.open(Path(path).parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        made.connect(f"/proc/self/fd/{folder}/{Path(path).name}")
    finally:
        os.close(folder)
    return made


async def _serve(path: str) -> None:
    """Take messages until there are no more."""
    reader, writer = await asyncio.open_unix_connection(sock=_connect(path))
    questions = Questions(path)
    start = {"key": _NOBODY, "payload": {}, "run": {"run_id": ""}}
    set_current_context(Context(start, questions))  # type: ignore[no-untyped-call]
    printed = Printed(_connect(path), _frame)
    printed.install()
    triggers = Triggers(lambda message: writer.write(_frame(message)), questions, printed)
    writer.write(_frame({"type": "ready"}))
    try:
        while True:
            size = int.from_bytes(await reader.readexactly(_LENGTH_BYTES), "big")
            triggers.take(json.loads(await reader.readexactly(size)))
    except (asyncio.IncompleteReadError, ConnectionError):
        await triggers.close()


_NOBODY: Final = {"dag_id": "", "task_id": "", "run_id": "", "map_index": -1, "try_number": 1}
"""Who asks for variables and connections where no trigger can be told."""


def main() -> None:
    """Serve until the connection ends."""
    import_module("airdock.compat").install()
    asyncio.run(_serve(os.environ.pop("AIRDOCK_CHANNEL")))


if __name__ == "__main__":
    main()
