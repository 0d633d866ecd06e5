"""How far a pull or push is, on stderr: a line per blob on a terminal, lines as things happen elsewhere, or JSON."""

import json
import sys
import threading
import time
from types import TracebackType
from typing import Final, Self

import click

from airdock.cli.tables import fit
from airdock.cli.units import render_size
from airdock.remote.base import Transfer

__all__ = ["TransferView"]

_FRAME_S: Final = 0.1
_BAR: Final = 24
_SHORT: Final = 12
_WORDS: Final = {
    "waiting": "waiting",
    "exists": "already there",
    "mounted": "taken over from",
    "done": "done",
}


class TransferView:
    """A `Tell` for a block; `verb` is what happens to a blob: "pulling", "pushing".

    `form` is "auto", "plain", "json" (an object per line on stdout) or "quiet".
    """

    def __init__(self, verb: str, *, form: str = "auto") -> None:
        self._verb = verb
        self._form = "live" if form == "auto" and sys.stderr.isatty() else "plain" if form == "auto" else form
        self._blobs: dict[str, Transfer] = {}
        self._lock = threading.Lock()
        self._drawn = 0
        self._next = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            if self._form == "live":
                self._draw()

    def __call__(self, transfer: Transfer) -> None:
        """Show one event."""
        with self._lock:
            before = self._blobs.get(transfer.digest)
            if transfer.digest:
                self._blobs[transfer.digest] = transfer
            if self._form == "json":
                click.echo(json.dumps(_as_json(transfer)))
            elif self._form == "plain":
                self._tell(transfer, before)
            elif self._form == "live":
                if not transfer.digest:
                    self._clear()
                    click.echo(transfer.text, err=True)
                if not transfer.digest or time.monotonic() >= self._next:
                    self._draw()

    def _tell(self, transfer: Transfer, before: Transfer | None) -> None:
        """One line where a blob's state changes; how far it is in between is for terminals."""
        if not transfer.digest:
            click.echo(transfer.text, err=True)
        elif transfer.state != "waiting" and (before is None or before.state != transfer.state):
            click.echo(f"{_name(transfer)}: {self._said(transfer)}", err=True)

    def _said(self, transfer: Transfer) -> str:
        size = render_size(transfer.total)
        if transfer.state == "moving":
            return f"{self._verb} {size}"
        word = _WORDS.get(transfer.state, transfer.state)
        return f"{word} {transfer.text}".rstrip() if transfer.text else f"{word} ({size})"

    def _draw(self) -> None:
        self._clear()
        lines = [fit(self._line(transfer), _columns()) for transfer in self._blobs.values()]
        sys.stderr.write("".join(f"{line}\n" for line in lines))
        sys.stderr.flush()
        self._drawn = len(lines)
        self._next = time.monotonic() + _FRAME_S

    def _clear(self) -> None:
        if self._drawn:
            sys.stderr.write(f"\x1b[{self._drawn}A\x1b[J")
            self._drawn = 0

    def _line(self, transfer: Transfer) -> str:
        if transfer.state != "moving":
            return f"{_name(transfer)}: {self._said(transfer)}"
        share = transfer.done / transfer.total if transfer.total else 1.0
        bar = "=" * int(share * _BAR)
        done, total = render_size(transfer.done), render_size(transfer.total)
        return f"{_name(transfer)}: {self._verb} [{bar:<{_BAR}}] {done} of {total}"


def _name(transfer: Transfer) -> str:
    return transfer.digest.partition(":")[2][:_SHORT]


def _columns() -> int:
    import shutil  # only where a terminal is drawn on

    return shutil.get_terminal_size().columns


def _as_json(transfer: Transfer) -> dict[str, str | int]:
    if not transfer.digest:
        return {"event": transfer.state, "text": transfer.text}
    return {
        "event": "blob",
        "digest": transfer.digest,
        "state": transfer.state,
        "done": transfer.done,
        "total": transfer.total,
    }
