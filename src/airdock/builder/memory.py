"""RUN without containers: commands are functions, by the text that runs them; for tests and for trying a plan out."""

import io
import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from airdock.builder.base import Command
from airdock.errors import StepFailedError
from airdock.images.image import Layer
from airdock.images.store import ImageStore
from airdock.images.tar import DIRECTORY, END, REGULAR, Entry, padding, render_header

__all__ = ["FunctionRun", "Program"]

Program = Callable[[Command, Callable[[bytes], None]], Mapping[str, str | None]]
"""Gets the command and where to print; gives the files that it writes, None for the content of a deleted one."""

_TIME_NS: Final = 946_684_800_000_000_000


@dataclass(kw_only=True, slots=True)
class FunctionRun:
    """Satisfies `RunStep`: looks up what to do by the whole text of a shell command, or by the first word.

    A program that isn't there ends with 127, as in a shell. `commands` are those that ran, in order.
    """

    store: ImageStore
    programs: Mapping[str, Program] = field(default_factory=dict)
    commands: list[Command] = field(default_factory=list)

    def __call__(self, command: Command, output: Callable[[bytes], None]) -> Layer:
        self.commands.append(command)
        text = (
            command.argv[-1] if len(command.argv) == 3 and command.argv[1].startswith("-") else shlex.join(command.argv)
        )
        program = self.programs.get(text) or self.programs.get(text.split(maxsplit=1)[0])
        if program is None:
            output(f"{text}: not found\n".encode())
            raise StepFailedError(command_exit=127)
        return self.store.commit_tar(io.BytesIO(_pack(program(command, output))))


def _pack(files: Mapping[str, str | None]) -> bytes:
    """The tar of the files, with the folders above them."""
    parts: dict[str, bytes] = {}
    for path, text in files.items():
        folder, _, name = path.strip("/").rpartition("/")
        above = folder.split("/") if folder else []
        for depth in range(1, len(above) + 1):
            parent = "/".join(above[:depth])
            parts[parent] = render_header(
                Entry(name=os.fsencode(parent), kind=DIRECTORY, mode=0o755, mtime_ns=_TIME_NS)
            )
        if text is None:
            name = f".wh.{name}"
        data = (text or "").encode()
        full = f"{folder}/{name}" if folder else name
        header = Entry(name=os.fsencode(full), kind=REGULAR, size=len(data), mtime_ns=_TIME_NS)
        parts[full] = render_header(header) + data + padding(len(data))
    return b"".join(parts.values()) + END
