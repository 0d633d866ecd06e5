"""A path of the machine that a container sees."""

from collections.abc import Mapping
from typing import Any, Self

from airdock.record import record

__all__ = ["Mount"]


@record
class Mount:
    """A host path that the container sees at `target`."""

    source: str
    target: str
    read_only: bool = True

    def to_dict(self) -> dict[str, Any]:
        return {"source": self.source, "target": self.target, "read_only": self.read_only}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        return cls(source=value["source"], target=value["target"], read_only=value["read_only"])
