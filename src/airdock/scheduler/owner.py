"""Who owns a run: a name of this process that others can tell to be dead."""

import os
import secrets
from pathlib import Path
from typing import Self

from airdock.errors import StoreError
from airdock.record import record

__all__ = ["Owner", "is_alive", "is_dead"]


@record
class Owner:
    """A process. `place` names the machine's boot and pid namespace, in which `pid` and `started` mean something.

    `started` is in clock ticks since boot, as in /proc/PID/stat, so that a pid that was given again is another owner.
    `nonce` tells apart several owners in one process.
    """

    host: str
    place: str
    pid: int
    started: int
    nonce: str

    @classmethod
    def current(cls, *, proc: Path = Path("/proc")) -> Self:
        """This process."""
        pid = os.getpid()
        return cls(
            host=os.uname().nodename.replace(":", "-"),
            place=_read_place(proc),
            pid=pid,
            started=_read_start(pid, proc) or 0,
            nonce=secrets.token_hex(4),
        )

    @classmethod
    def parse(cls, text: str) -> Self:
        """From what `str` gives. StoreError if it is something else."""
        try:
            host, place, pid, started, nonce = text.split(":")
            return cls(host=host, place=place, pid=int(pid), started=int(started), nonce=nonce)
        except ValueError as error:
            raise StoreError(f"expected an owner like host:place:pid:start:nonce, found {text!r}") from error

    def __str__(self) -> str:
        return f"{self.host}:{self.place}:{self.pid}:{self.started}:{self.nonce}"

    @property
    def label(self) -> str:
        """The owner for people."""
        return f"process {self.pid} on {self.host}"

    def is_dead(self, *, proc: Path = Path("/proc")) -> bool:
        """Whether the process is known to be gone; false for one that can't be seen from here."""
        return self.place == _read_place(proc) and _read_start(self.pid, proc) != self.started

    def is_alive(self, *, proc: Path = Path("/proc")) -> bool:
        """Whether the process is known to run; false for one that can't be seen from here."""
        return self.place == _read_place(proc) and _read_start(self.pid, proc) == self.started


def is_dead(owner: str) -> bool:
    """Whether what is written there is a process that is known to be gone."""
    try:
        return bool(owner) and Owner.parse(owner).is_dead()
    except StoreError:
        return False


def is_alive(owner: str) -> bool:
    """Whether what is written there is a process that is known to run."""
    try:
        return bool(owner) and Owner.parse(owner).is_alive()
    except StoreError:
        return False


def _read_place(proc: Path) -> str:
    boot = (proc / "sys/kernel/random/boot_id").read_text().strip()
    namespace = (proc / "self/ns/pid").readlink().name.removeprefix("pid:").strip("[]")
    return f"{boot}/{namespace}"


def _read_start(pid: int, proc: Path) -> int | None:
    """Field 22 of proc(5)'s stat; None if there is no such process, or only what is left of one until it is reaped."""
    try:
        stat = (proc / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])
