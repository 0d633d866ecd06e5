"""The flags of `container run` and `create` for what is mounted, in Docker's words."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from airdock.cli.names import complete_containers
from airdock.containers.mount_words import check_targets, parse_mount, parse_tmpfs, parse_volume

__all__ = ["take_volumes", "volume_options"]

_Command = TypeVar("_Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "-v",
        "--volume",
        "volumes",
        multiple=True,
        metavar="[SOURCE|NAME:]TARGET[:ro]",
        callback=lambda ctx, param, value: tuple(map(parse_volume, value)),
        help="Mount a path of this machine, a volume by its name, or one without.",
    ),
    click.option(
        "--mount",
        "mount_requests",
        multiple=True,
        metavar="type=…,source=…,target=…",
        callback=lambda ctx, param, value: tuple(map(parse_mount, value)),
        help="The same in words: type is bind, volume or tmpfs; readonly, volume-nocopy, tmpfs-size, ….",
    ),
    click.option(
        "--tmpfs",
        multiple=True,
        metavar="PATH[:OPTIONS]",
        callback=lambda ctx, param, value: tuple(map(parse_tmpfs, value)),
        help="Mount memory at PATH.",
    ),
    click.option(
        "--volumes-from",
        multiple=True,
        metavar="CONTAINER[:ro]",
        shell_complete=complete_containers,
        help="Mount what another container has.",
    ),
)


def volume_options(command: _Command) -> _Command:
    """Give a command these flags."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def take_volumes(options: dict[str, Any]) -> dict[str, Any]:
    """The fields of a `RunRequest` that these flags are, taken out of a command's options.

    Raises MountError for two things at one place.
    """
    requests = (*options.pop("volumes"), *options.pop("mount_requests"))
    tmpfs = options.pop("tmpfs")
    check_targets(requests, tmpfs)
    return {"volumes": requests, "tmpfs": tmpfs, "volumes_from": options.pop("volumes_from")}
