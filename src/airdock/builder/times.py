"""Times in what a build makes: none of them says when it was built."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from airdock.errors import DockerfileError

if TYPE_CHECKING:
    from airdock.builder.base import BuildRequest

__all__ = ["FIXED_TIME", "clamp_of", "newest_time", "source_date_epoch"]

FIXED_TIME: Final = 946_684_800
"""2000-01-01, in seconds: late enough for zip archives, which can't say anything before 1980 in any time zone."""

_SECOND_NS: Final = 1_000_000_000
_COARSE_NS: Final = 20_000_000
"""How far the times that a kernel gives to files may be behind its clock: two ticks of the slowest one."""


def clamp_of(epoch: int | None, now_ns: int) -> tuple[int, int]:
    """From which time on files that a command wrote get another one, and which, in nanoseconds.

    With SOURCE_DATE_EPOCH nothing may be later than that. Without it only times from `now_ns` on, when the command
    begins, change: they say when it ran. Older ones were set on purpose, by an archive or a package.
    """
    if epoch is not None:
        return epoch * _SECOND_NS, epoch * _SECOND_NS
    return now_ns - _COARSE_NS, FIXED_TIME * _SECOND_NS


def source_date_epoch(request: "BuildRequest") -> int | None:
    """The time that SOURCE_DATE_EPOCH gives a build, in seconds; None where it gives none. Raises `DockerfileError`."""
    text = request.args.get("SOURCE_DATE_EPOCH", "")
    if text == "context":
        if request.context_time_s is None and request.context is not None:
            return newest_time(request.context)
        return request.context_time_s
    if text and not re.fullmatch(r"[0-9]{1,11}", text):
        raise DockerfileError(
            f"expected SOURCE_DATE_EPOCH to be seconds since 1970, found {text!r}", where=request.name
        )
    return int(text) if text else None


def newest_time(folder: Path) -> int:
    """When the youngest file below a folder was changed, in whole seconds."""
    newest = int(folder.stat().st_mtime)
    for above, folders, files in os.walk(folder):
        for name in (*folders, *files):
            newest = max(newest, int(Path(above, name).lstat().st_mtime))
    return newest
