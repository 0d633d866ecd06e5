"""Times as the channel has them."""

__all__ = ["parse_time"]

_UTC = "+00:00"


def parse_time(text):
    """A time of the channel, always UTC, as the standard library has it."""
    if not text:
        return None
    from datetime import datetime, timezone

    moment = datetime.fromisoformat(text[:-1] + _UTC if text.endswith("Z") else text)
    return moment.astimezone(timezone.utc)
