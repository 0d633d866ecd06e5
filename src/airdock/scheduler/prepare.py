"""How the scheduler asks for environments: by a request that comes back at once, and an answer that comes later."""

from collections.abc import Callable, Mapping
from typing import Protocol

from airdock.model.environment import Environment
from airdock.record import record

__all__ = ["Prepare", "PrepareFailed", "Prepared", "Reply"]


@record
class Prepared:
    """The environment is the image with this digest. `reused` says that it was there already."""

    environment: Environment
    digest: str
    reused: bool = False


@record
class PrepareFailed:
    """The environment can't be made; `error` is what `AirdockError.to_dict` gives."""

    environment: Environment
    error: Mapping[str, str]


Reply = Prepared | PrepareFailed


class Prepare(Protocol):
    """Makes environments, equal ones once, different ones side by side."""

    def request(self, environment: Environment, *, where: str, answer: Callable[[Reply], None]) -> None:
        """Ask for an environment and come back at once; `where` names the task that needs it first.

        `answer` gets exactly one reply, from any thread, maybe before this returns. Asking again is answered again.
        """
