"""When a request is worth another try, and after how long."""

import email.utils
import random
import time
from typing import Final

__all__ = ["TRANSIENT", "pause_before", "retry_after"]

TRANSIENT: Final = frozenset({408, 429, 500, 502, 503, 504})
"""HTTP statuses that may pass."""

_FIRST_S: Final = 0.2
_LONGEST_S: Final = 20.0
_PATIENCE_S: Final = 120.0


def pause_before(attempt: int, *, wanted_s: float | None = None, spread: float | None = None) -> float:
    """Seconds to wait before the `attempt`-th further try (from 1): what the server asked for, else doubling.

    `spread`, from 0 to 1, says where between the half and the whole of it; at random unless given, so that many who
    failed together don't come back together.
    """
    if wanted_s is not None:
        return min(max(wanted_s, 0.0), _PATIENCE_S)
    whole = min(_FIRST_S * float(2 ** min(attempt - 1, 16)), _LONGEST_S)
    share = random.random() if spread is None else spread  # noqa: S311 no secret, only to come at different times
    return whole * (0.5 + 0.5 * share)


def retry_after(header: str | None, *, now: float | None = None) -> float | None:
    """Seconds that a `Retry-After` header asks for, a number or a date; None where there is none that can be read.

    Source: RFC 9110, section 10.2.3.
    """
    if not header:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:6])
    try:
        at = email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return max(at - (time.time() if now is None else now), 0.0)
