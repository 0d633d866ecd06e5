"""What is remembered of a container, from what was asked for and what its image says."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from airdock.containers.base import RunRequest, network_of
from airdock.containers.options import LifeOptions
from airdock.containers.record import ContainerRecord
from airdock.images.image import Image

__all__ = ["make_record"]


def make_record(
    image: Image,
    request: RunRequest,
    options: LifeOptions,
    config: Mapping[str, Any],
    container_id: str,
    name: str,
) -> ContainerRecord:
    """The record of a container that is about to be made."""
    own = image.config
    replaced = request.entrypoint is not None
    entrypoint = request.entrypoint if replaced else own.entrypoint
    cmd = request.argv if request.argv is not None else () if replaced else own.cmd or ()
    return ContainerRecord(
        id=container_id,
        name=name,
        image=request.image_name or image.image_id.hex[:12],
        image_id=str(image.image_id),
        image_digest=str(image.digest),
        layers=tuple(str(layer.diff_id) for layer in image.layers),
        config=config,
        created=datetime.now(UTC).isoformat(),
        network={
            **network_of(request, config.get("hostname", "")),
            "ports": [port.to_dict() for port in request.ports],
        },
        entrypoint=None if entrypoint is None else tuple(entrypoint),
        cmd=tuple(cmd),
        labels={**own.labels, **options.labels},
        exposed_ports=tuple(dict.fromkeys([*own.exposed_ports, *request.expose])),
        restart=options.restart,
        log=options.log,
        health=options.health,
        stop_signal=options.stop_signal,
        stop_timeout_s=options.stop_timeout_s,
        auto_remove=options.auto_remove,
        open_stdin=options.open_stdin,
        tty=request.terminal,
    )
