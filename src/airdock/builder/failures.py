"""Why a command failed, where what it printed tells of a lack that isn't the Dockerfile's."""

import os
import pwd
import re
from typing import Final

__all__ = ["explain_failure"]

_OTHER_IDS: Final = re.compile(r"chown|set(?:groups|e?[ug]id|res[ug]id)|changing (?:ownership|group)", re.IGNORECASE)
"""What commands say that fail to become somebody else, or to give something to somebody else."""


def explain_failure(output: str, *, mapping: str) -> str:
    """What to do where a command failed because its account has a single id; "" where that isn't why."""
    if mapping != "one" or not _OTHER_IDS.search(output):
        return ""
    name = _account()
    return (
        f"{name} has a single id here, so a command can't become another user and files can't belong to one."
        f" Give it ranges of ids: sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name},"
        " with newuidmap installed (apt-get install uidmap); airdock doctor says what is missing"
    )


def _account() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
