"""A scheduler whose clock is wrong by what a file says: `set_clock.py HOME FILE`."""

import signal
import sys
from datetime import datetime, timedelta
from pathlib import Path

from airdock.app import App
from airdock.cli.scheduler import Lines
from airdock.clock import SystemClock
from airdock.config import load_config


class SetClock(SystemClock):
    """The machine's, and so many seconds more; the monotonic one is never set."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=float(self._file.read_text() or 0))


def main(home: str, file: str) -> None:
    with App(load_config(flags={"home": home})) as app:
        app.clock = SetClock(Path(file))
        app.open()
        server = app.server
        signal.signal(signal.SIGTERM, lambda *_: server.stop())
        app.serve(report=Lines(as_json=False, clock=app.clock))


if __name__ == "__main__":
    main(*sys.argv[1:])
