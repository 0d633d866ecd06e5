"""Names of containers that were given none."""

import os
from collections.abc import Sequence
from typing import Final

__all__ = ["make_name"]

_ADJECTIVES: Final = (
    "brisk",
    "calm",
    "clear",
    "fair",
    "gentle",
    "keen",
    "light",
    "mellow",
    "quick",
    "quiet",
    "swift",
    "warm",
)
_NOUNS: Final = (
    "anchor",
    "beacon",
    "breeze",
    "buoy",
    "cove",
    "ferry",
    "gull",
    "harbor",
    "keel",
    "pier",
    "reef",
    "skiff",
)


def make_name() -> str:
    """A name that people can say, made unique enough by two bytes of chance."""
    return f"{_choose(_ADJECTIVES)}_{_choose(_NOUNS)}_{os.urandom(2).hex()}"


def _choose(words: Sequence[str]) -> str:
    return words[os.urandom(1)[0] % len(words)]
