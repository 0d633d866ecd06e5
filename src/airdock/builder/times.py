"""Times in what a build makes: none of them says when it was built."""

from typing import Final

__all__ = ["FIXED_TIME", "clamp_of"]

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
