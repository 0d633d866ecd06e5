"""What a container sees of the machine beside its own root: a path, or a stack of layers."""

from collections.abc import Mapping
from typing import Any, Self

from airdock.record import record

__all__ = ["Mount", "StackMount"]


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


@record
class StackMount:
    """What is at `path` in the unpacked `layers` (lowest first), seen at `target`.

    `path` is relative to their common root and has no links on its way. What is written where it isn't
    `read_only` goes to `scratch`, a folder that whoever runs the container makes and removes.
    """

    layers: tuple[str, ...]
    path: str
    target: str
    scratch: str = ""
    read_only: bool = True
