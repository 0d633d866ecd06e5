"""What a monitor needs around its container: a launcher, a place on the networks, and giving both back."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airdock.containers.base import MOUNTS_ANNOTATION, is_plain
from airdock.containers.record import ContainerRecord
from airdock.errors import AirdockError
from airdock.runtime.launcher import Launcher

if TYPE_CHECKING:
    from airdock.networks.base import Joined
    from airdock.networks.networks import Networks

__all__ = ["Place"]


class Place:
    """`settings` are JSON: `launcher` and `networks` have the arguments of those two."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings
        given = settings["launcher"]
        self._launcher = Launcher(folder=Path(given["folder"]), userns=given["userns"], spare=False)
        self._joining: Launcher | None = None
        self._networks: Networks | None = None
        self.notes: list[str] = []
        """Sentences for whoever started the container."""

    def prepare(self) -> None:
        """Start what takes a moment."""
        self._launcher.start()

    def attach(self, record: ContainerRecord) -> "tuple[Joined | None, Launcher]":
        """The container's place on its network (None where it needs none) and the launcher that can start it there."""
        network = dict(record.network)
        if is_plain(network):
            return None, self._launcher
        joined = self._open_networks().attach(container_id=record.id, name=record.name, **_with_ports(network))
        self.notes = list(joined.notes)
        if not joined.user_namespace:
            return joined, self._launcher
        self._joining = self._launcher.inside(joined.user_namespace)
        return joined, self._joining

    def detach(self, record: ContainerRecord) -> None:
        """Give back the place on the networks. Harmless where there is none."""
        if self._joining is not None:
            self._joining.stop()
            self._joining.join()
            self._joining = None
        if self._networks is not None:
            self._networks.detach(record.id)

    def close(self, *, remove: Path | None) -> None:
        """End the launcher; with `remove`, that container's folder and its volumes without a name go before."""
        if self._networks is not None:
            self._networks.close()
        if remove is not None:
            try:
                self._remove(remove)
            except AirdockError:
                pass  # what is left is shown as exited, and rm says why
        self._launcher.stop()
        self._launcher.join()

    def _remove(self, folder: Path) -> None:
        known = ContainerRecord.load(folder)
        self._launcher.remove(folder)
        if known is not None and MOUNTS_ANNOTATION in known.config.get("annotations", {}):
            from airdock.containers.volumes import Volumes  # most containers have none

            home = folder.parents[2]
            Volumes(root=home / "volumes", containers=folder.parent, launcher=self._launcher).forget(folder.name)

    def _open_networks(self) -> "Networks":
        if self._networks is None:
            from airdock.networks.networks import Networks  # most containers have the machine's network

            given = self._settings["networks"]
            paths = {name: Path(given[name]) for name in ("folder", "run")}
            self._networks = Networks(**{**given, **paths})
        return self._networks


def _with_ports(network: Mapping[str, Any]) -> dict[str, Any]:
    from airdock.networks.base import Port

    return {**network, "ports": [Port.from_dict(port) for port in network.get("ports", ())]}
