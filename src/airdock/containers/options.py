"""How a container is to be kept, as flags and image say; what runs in the foreground only goes without it."""

from collections.abc import Mapping
from dataclasses import field

from airdock.containers.health import HealthCheck
from airdock.containers.log_write import LogOptions
from airdock.containers.restart import RestartPolicy
from airdock.record import record

__all__ = ["LifeOptions"]


@record
class LifeOptions:
    """How a container is to be kept once it is made: see `record.ContainerRecord`."""

    restart: RestartPolicy = field(default_factory=RestartPolicy)
    log: LogOptions = field(default_factory=LogOptions)
    health: HealthCheck | None = None
    stop_signal: int = 15
    stop_timeout_s: float = 10.0
    labels: Mapping[str, str] = field(default_factory=dict)
    auto_remove: bool = False
    open_stdin: bool = False
