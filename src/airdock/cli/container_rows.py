"""What `container ps` says of a container: the fields of `--format`, in Docker's words."""

import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from airdock.cli.tables import fit
from airdock.cli.units import render_age
from airdock.containers.known import EVERY_ADDRESS
from airdock.containers.volumes import places_of

if TYPE_CHECKING:
    from airdock.containers.known import Known

__all__ = ["TABLE", "TABLE_WITH_SIZE", "TITLES", "make_row", "render_ports", "render_status"]

_COMMAND_CELLS: Final = 20
TITLES: Final = {
    "ID": "CONTAINER ID",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "CreatedAt": "CREATED AT",
    "RunningFor": "CREATED",
    "State": "STATE",
    "Status": "STATUS",
    "Ports": "PORTS",
    "Names": "NAMES",
    "Size": "SIZE",
    "Labels": "LABELS",
    "Mounts": "MOUNTS",
    "LocalVolumes": "LOCAL VOLUMES",
    "Networks": "NETWORKS",
}
TABLE: Final = "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}"
TABLE_WITH_SIZE: Final = TABLE + "\t{{.Size}}"


def make_row(known: "Known", now: datetime, *, whole: bool, size: str = "") -> dict[str, Any]:
    """One container; `whole` cuts nothing off."""
    state, record = known.state, known.record
    command = f'"{shlex.join(state.command)}"'
    created = datetime.fromisoformat(state.created)
    places = places_of(state.config)
    mounts = [place.get("Name") or place.get("Source", "") for place in places if place["Type"] != "tmpfs"]
    labels = record.labels if record else {}
    return {
        "ID": state.id if whole else state.id[:12],
        "Image": state.image,
        "Command": command if whole else fit(command, _COMMAND_CELLS),
        "CreatedAt": created.astimezone().strftime("%Y-%m-%d %H:%M:%S %z %Z"),
        "RunningFor": f"{render_age(now - created)} ago",
        "State": known.status,
        "Status": render_status(known, now),
        "Ports": render_ports(known),
        "Names": known.name,
        "Size": size,
        "Labels": ",".join(f"{name}={value}" for name, value in labels.items()),
        "Mounts": ",".join(mount if whole else fit(mount, 15) for mount in mounts),
        "LocalVolumes": str(sum(place["Type"] == "volume" for place in places)),
        "Networks": record.network.get("mode", "") if record else "",
    }


def render_status(known: "Known", now: datetime) -> str:
    """The STATUS column: "Up 5 minutes (healthy)", "Exited (0) 3 hours ago"."""
    life = known.life
    match known.status:
        case "running" | "paused" as status:
            up = f"Up {_since(known.started, now)}"
            health = life.health.status if life and life.health else ""
            if status == "paused":
                return f"{up} (Paused)"
            if health:
                return f"{up} ({'health: ' if health == 'starting' else ''}{health})"
            return up
        case "restarting":
            return f"Restarting ({known.exit_code}) {_since(known.finished, now)} ago"
        case "exited" if known.finished:
            return f"Exited ({known.exit_code}) {_since(known.finished, now)} ago"
        case status:
            return status.capitalize()


def render_ports(known: "Known") -> str:
    """The PORTS column: "0.0.0.0:8080->80/tcp, 443/tcp"."""
    life, record = known.life, known.record
    if not known.is_running:
        return ""
    published: Sequence[Mapping[str, Any]] = (life.network or {}).get("published", ()) if life else ()
    shown = [
        f"{port['host_ip'] or EVERY_ADDRESS}:{port['host_port']}->{port['container_port']}/{port['protocol']}"
        for port in published
    ]
    reached = {f"{port['container_port']}/{port['protocol']}" for port in published}
    exposed = [port if "/" in port else f"{port}/tcp" for port in (record.exposed_ports if record else ())]
    return ", ".join([*shown, *(port for port in exposed if port not in reached)])


def _since(time: str, now: datetime) -> str:
    return render_age(now - datetime.fromisoformat(time)) if time else "a while"
