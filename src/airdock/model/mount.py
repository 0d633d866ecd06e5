"""A path of the machine that a container sees."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

__all__ = ["Mount"]


@dataclass(frozen=True, kw_only=True, slots=True)
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
