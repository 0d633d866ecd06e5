"""Whether and when a container that has ended is started again: Docker's restart policies and back-off."""

from collections.abc import Mapping
from typing import Any, Final, Self

from airdock.errors import ContainerError
from airdock.record import record

__all__ = ["Backoff", "RestartPolicy", "parse_restart"]

_NAMES: Final = ("no", "on-failure", "always", "unless-stopped")
_FIRST_S: Final = 0.1
_MOST_S: Final = 60.0
_LONG_ENOUGH_S: Final = 10.0
"""Who ran that long has recovered: the next wait is the first one again."""


@record
class RestartPolicy:
    """`retries` counts for "on-failure" only; 0 is without end."""

    name: str = "no"
    retries: int = 0

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "retries": self.retries}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        return cls(name=value["name"], retries=value["retries"])

    def wants(self, *, exit_code: int, restarts: int, stopped: bool) -> bool:
        """Whether one that ended with `exit_code` after `restarts` of them starts again; `stopped` by somebody."""
        if stopped or self.name == "no":
            return False
        if self.name == "on-failure":
            return exit_code != 0 and (self.retries == 0 or restarts < self.retries)
        return True


@record
class Backoff:
    """How long to wait: 100 ms, doubled each time up to a minute; from the start again after ten seconds of life."""

    delay_s: float = 0.0

    def after(self, uptime_s: float) -> Self:
        """The wait that follows an end after `uptime_s` seconds."""
        if uptime_s >= _LONG_ENOUGH_S or self.delay_s == 0:
            return type(self)(delay_s=_FIRST_S)
        return type(self)(delay_s=min(self.delay_s * 2, _MOST_S))


def parse_restart(text: str) -> RestartPolicy:
    """The policy of `--restart TEXT`. Raises ContainerError."""
    name, colon, count = text.partition(":")
    is_counted = name == "on-failure" and count.isdigit()
    if (name or "no") not in _NAMES or (colon and not is_counted):
        raise ContainerError(
            f"expected a restart policy to be no, on-failure[:N], always or unless-stopped, found {text!r}",
            where="--restart",
        )
    return RestartPolicy(name=name or "no", retries=int(count) if is_counted else 0)
