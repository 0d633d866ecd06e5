"""What a task says it needs: an image, a Dockerfile, requirements, or nothing."""

from collections.abc import Mapping
from typing import Any, Self

from airdock.record import record

__all__ = ["Environment"]


@record
class Environment:
    """At most one of `image`, `dockerfile` and `requirements` is set; none of them is the host image.

    `image` is an image name. `dockerfile` is an absolute path, whose folder is the build context. `requirements` are
    PEP 508 lines, installed for `python` ("3.9"; None is the base's own). `python` alone asks for that interpreter
    with nothing installed. Equal values are one environment and are made once.
    """

    image: str | None = None
    dockerfile: str | None = None
    requirements: tuple[str, ...] | None = None
    python: str | None = None

    @property
    def is_host(self) -> bool:
        """Whether the task runs on the host image as it is."""
        return self == Environment()

    @property
    def label(self) -> str:
        """The environment in a few words, for people."""
        if self.image is not None:
            return self.image
        if self.dockerfile is not None:
            return self.dockerfile.rsplit("/", 2)[-2] + "/" + self.dockerfile.rsplit("/", 1)[-1]
        python = f"python {self.python}" if self.python else ""
        packages = " ".join(self.requirements or ())
        return ", ".join(part for part in (python, packages) if part) or "host"

    def to_dict(self) -> dict[str, Any]:
        return {
            "image": self.image,
            "dockerfile": self.dockerfile,
            "requirements": list(self.requirements) if self.requirements is not None else None,
            "python": self.python,
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        requirements = value["requirements"]
        return cls(
            image=value["image"],
            dockerfile=value["dockerfile"],
            requirements=tuple(requirements) if requirements is not None else None,
            python=value["python"],
        )
