"""Whether a container is well: what HEALTHCHECK and `--health-*` ask for, and what its probes have shown so far."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Self

from airdock.record import record

__all__ = ["HEALTHY", "STARTING", "UNHEALTHY", "Health", "HealthCheck", "Probe", "make_check"]

STARTING: Final = "starting"
HEALTHY: Final = "healthy"
UNHEALTHY: Final = "unhealthy"

_NANOSECONDS: Final = 1_000_000_000
_KEPT_PROBES: Final = 5
_DEFAULT_SHELL: Final = ("/bin/sh", "-c")
_FIELDS: Final = {
    "Interval": "interval_s",
    "Timeout": "timeout_s",
    "StartPeriod": "start_period_s",
    "StartInterval": "start_interval_s",
}


@record
class HealthCheck:
    """A command and when to run it. Exit code 0 is well; failures count only after `start_period_s`."""

    argv: tuple[str, ...]
    interval_s: float = 30.0
    timeout_s: float = 30.0
    start_period_s: float = 0.0
    start_interval_s: float = 5.0
    retries: int = 3

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        return cls(**{**value, "argv": tuple(value["argv"])})


@record
class Probe:
    """One run of the command: start and end in RFC 3339, exit code, and the beginning of what it printed."""

    start: str
    end: str
    exit_code: int
    output: str

    def to_dict(self) -> dict[str, Any]:
        return {"Start": self.start, "End": self.end, "ExitCode": self.exit_code, "Output": self.output}


@record
class Health:
    """What is known: the status, how many probes in a row failed, the last probes as Docker shows them."""

    status: str = STARTING
    streak: int = 0
    log: tuple[Mapping[str, Any], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {"Status": self.status, "FailingStreak": self.streak, "Log": list(self.log)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        return cls(status=value["Status"], streak=value["FailingStreak"], log=tuple(value["Log"]))

    def after(self, probe: Probe, check: HealthCheck, *, uptime_s: float) -> Self:
        """What is known once a probe has ended, `uptime_s` seconds after the container's start.

        Source: Docker's reference of HEALTHCHECK; a failure in the start period counts once a probe went well.
        """
        known = replace(self, log=(*self.log, probe.to_dict())[-_KEPT_PROBES:])
        if probe.exit_code == 0:
            return replace(known, status=HEALTHY, streak=0)
        if self.status == STARTING and uptime_s < check.start_period_s:
            return known
        streak = self.streak + 1
        return replace(known, streak=streak, status=UNHEALTHY if streak >= check.retries else self.status)

    def wait_s(self, check: HealthCheck, *, uptime_s: float) -> float:
        """How long until the next probe."""
        is_starting = self.status == STARTING and uptime_s < check.start_period_s
        return min(check.start_interval_s, check.interval_s) if is_starting else check.interval_s


def make_check(
    image: Mapping[str, Any] | None, flags: Mapping[str, Any], *, shell: tuple[str, ...] | None = None
) -> HealthCheck | None:
    """The check of a container: the image's `Healthcheck` (times in nanoseconds), with flags over it.

    `flags` has `cmd` (a line for a shell), the fields of `HealthCheck` but argv, and `none`, which turns it off.
    """
    own = dict(image or {})
    test = list(own.get("Test") or ())
    if flags.get("cmd"):
        test = ["CMD-SHELL", flags["cmd"]]
    if flags.get("none") or not test or test[0] == "NONE":
        return None
    argv = (*(shell or _DEFAULT_SHELL), *test[1:]) if test[0] == "CMD-SHELL" else tuple(test[1:])
    found: dict[str, Any] = {
        field: own[name] / _NANOSECONDS
        for name, field in _FIELDS.items()
        if isinstance(own.get(name), int) and own[name]
    }
    if own.get("Retries"):
        found["retries"] = own["Retries"]
    found |= {name: value for name, value in flags.items() if name not in ("cmd", "none") and value is not None}
    return HealthCheck(argv=argv, **found) if argv else None
