"""Keeps the files of names of all attached containers right as others join and leave.

A newcomer has its file at once. Those who are there already hear of it at once too, as long as writing all their files
takes little; on a network of hundreds, where it takes long, several changes are written together, so that a thousand
containers that start one after another cost a thousand times a few milliseconds and not a thousand times a second.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from airdock.networks.attachments import HOSTS, Attachment, write_in_place
from airdock.networks.segments import Endpoint, Segments

__all__ = ["Naming"]

_SHARE: Final = 8
"""Of the time that passes, at most one part in so many goes into writing for those who are there already."""


class Naming:
    """`attached` and `segments` are the router's own, looked at whenever files are written. `gateway` is where a
    container reaches the machine."""

    def __init__(
        self,
        attached: Mapping[str, Attachment],
        segments: Segments,
        *,
        gateway: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._attached = attached
        self._segments = segments
        self._gateway = gateway
        self._clock = clock
        self._stale: set[str] = set()
        self._due = 0.0

    def write(self, attachment: Attachment) -> None:
        """Write one container's file."""
        content = attachment.render(self._neighbours(attachment), self._gateway)
        write_in_place(Path(attachment.folder, HOSTS), content)

    def changed(self, networks: Iterable[str], *, beside: str = "") -> None:
        """Somebody came to or left these networks: let those who are there know, but for the container `beside`."""
        self._stale |= {
            container
            for name in networks
            if (segment := self._segments.all.get(name)) and not segment.network.isolated
            for container in segment.endpoints
            if container in self._attached
        } - {beside}
        if self.wait_s() == 0:
            self.refresh()

    def wait_s(self) -> float | None:
        """How long to wait before `refresh`; None where there is nothing to be written."""
        return max(0.0, self._due - self._clock()) if self._stale else None

    def refresh(self) -> None:
        """Write what has changed."""
        stale, self._stale = self._stale, set()
        begun = self._clock()
        for container in stale & set(self._attached):
            self.write(self._attached[container])
        ended = self._clock()
        self._due = ended + _SHARE * (ended - begun)

    def _neighbours(self, attachment: Attachment) -> dict[str, list[Endpoint]]:
        return {
            name: [
                other for container, other in self._segments.all[name].endpoints.items() if container != attachment.id
            ]
            for name, endpoint in attachment.endpoints.items()
            if not endpoint.network.isolated and name in self._segments.all
        }
