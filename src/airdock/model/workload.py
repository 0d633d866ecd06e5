"""Everything an executor needs to run one try of one task instance, as plain JSON without secrets."""

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Self

from airdock.model.keys import TryKey
from airdock.model.mount import Mount
from airdock.model.usage import Resources
from airdock.record import record

__all__ = ["FORMAT_VERSION", "Workload"]

FORMAT_VERSION = 1


@record
class Workload:
    """One try of one task instance, ready to be run anywhere.

    `digest` pins the image's manifest. `argv` and `env` are empty where the runner is started and calls the task's
    code as `payload` says; otherwise `argv` runs as it is (an empty one runs the image's own command).
    `payload["mode"]` is "sdk", "bare" or "command"; `payload["assets"]` are name and address of each asset that has to
    be active; `payload["first"]` says what is imported in a first step, on the host image. `deadline_s` bounds the
    user's code, in seconds from its start; None is no bound. `lease_s` is how long the supervisor may go on without
    having renewed its lease.
    """

    key: TryKey
    digest: str
    argv: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    resources: Resources = Resources()
    payload: Mapping[str, Any] = field(default_factory=dict)
    deadline_s: float | None = None
    lease_s: float = 60.0
    format_version: int = FORMAT_VERSION

    def to_dict(self) -> dict[str, Any]:
        return {
            "key": self.key.to_dict(),
            "digest": self.digest,
            "argv": list(self.argv),
            "env": dict(self.env),
            "mounts": [mount.to_dict() for mount in self.mounts],
            "resources": self.resources.to_dict(),
            "payload": dict(self.payload),
            "deadline_s": self.deadline_s,
            "lease_s": self.lease_s,
            "format_version": self.format_version,
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        return cls(
            key=TryKey.from_dict(value["key"]),
            digest=value["digest"],
            argv=tuple(value["argv"]),
            env=dict(value["env"]),
            mounts=tuple(Mount.from_dict(mount) for mount in value["mounts"]),
            resources=Resources.from_dict(value["resources"]),
            payload=dict(value["payload"]),
            deadline_s=value["deadline_s"],
            lease_s=value["lease_s"],
            format_version=value["format_version"],
        )
