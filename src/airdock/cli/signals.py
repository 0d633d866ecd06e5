"""How a command hears that it is to end, where nothing else listens for that."""

import signal
import sys
from types import FrameType
from typing import NoReturn

__all__ = ["unwind", "was_told_to_end"]

_told: set[int] = set()


def unwind(number: int, frame: FrameType | None) -> NoReturn:
    """End as the signal asks, through every `finally` on the way."""
    _told.add(number)
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)


def was_told_to_end() -> bool:
    """Whether `unwind` was called; who reads this still runs, because what it raised was dropped on its way."""
    return bool(_told)
