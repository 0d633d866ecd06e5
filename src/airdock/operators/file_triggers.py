"""Triggers that wait for files."""

import glob
import os
from collections.abc import AsyncIterator
from typing import Any, Final

from airdock.dag.trigger import BaseEventTrigger, BaseTrigger, TriggerEvent

__all__ = ["DirectoryFileDeleteTrigger", "FileDeleteTrigger", "FileTrigger", "find_file"]

_PATH: Final = "airflow.providers.standard.triggers.file"


def find_file(path: str, *, recursive: bool = False) -> str | None:
    """The first file that the pattern matches, or that is in a folder which it matches."""
    for found in sorted(glob.glob(path, recursive=recursive)):  # noqa: PTH207  as below
        if os.path.isfile(found):  # noqa: PTH113  part of a task's start, where pathlib costs more than all else
            return found
        for folder, _, files in os.walk(found):
            if files:
                return f"{folder}/{files[0]}"
    return None


class FileTrigger(BaseTrigger):
    """Fires when the file is there. `poke_interval` is in seconds."""

    def __init__(self, filepath: str, recursive: bool = False, poke_interval: float = 5.0, **kwargs: Any) -> None:
        super().__init__()
        self.filepath = filepath
        self.recursive = recursive
        self.poke_interval = poke_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        kwargs = {"filepath": self.filepath, "recursive": self.recursive, "poke_interval": self.poke_interval}
        return f"{_PATH}.FileTrigger", kwargs

    async def run(self) -> AsyncIterator[TriggerEvent]:
        import asyncio  # only the triggerer needs it, and has it

        while find_file(self.filepath, recursive=self.recursive) is None:
            await asyncio.sleep(self.poke_interval)
        yield TriggerEvent(True)


class FileDeleteTrigger(BaseEventTrigger):
    """Removes the file as soon as it is there, and fires."""

    def __init__(self, filepath: str, poke_interval: float = 5.0, **kwargs: Any) -> None:
        super().__init__()
        self.filepath = filepath
        self.poke_interval = poke_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{_PATH}.FileDeleteTrigger", {"filepath": self.filepath, "poke_interval": self.poke_interval}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        import asyncio  # only the triggerer needs it, and has it

        while not _remove(self.filepath):
            await asyncio.sleep(self.poke_interval)
        yield TriggerEvent(True)


class DirectoryFileDeleteTrigger(BaseEventTrigger):
    """Removes files of one name from a folder whenever one appears, and fires for each."""

    def __init__(self, *, directory: str, filename: str, poke_interval: float = 5.0, **kwargs: Any) -> None:
        super().__init__()
        self.directory = directory
        self.filename = filename
        self.poke_interval = poke_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        kwargs = {"directory": self.directory, "filename": self.filename, "poke_interval": self.poke_interval}
        return f"{_PATH}.DirectoryFileDeleteTrigger", kwargs

    async def run(self) -> AsyncIterator[TriggerEvent]:
        import asyncio  # only the triggerer needs it, and has it

        path = f"{self.directory}/{self.filename}"
        while True:
            if _remove(path):
                yield TriggerEvent({"filepath": path})
            await asyncio.sleep(self.poke_interval)


def _remove(path: str) -> bool:
    try:
        os.unlink(path)  # noqa: PTH108  as above
    except FileNotFoundError:
        return False
    return True
