"""A container's files as they are now: as an image of its own (`commit`), or as one tar (`export`)."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airdock.containers.copying import take_stream
from airdock.containers.view import View
from airdock.oci.config import History, ImageConfig
from airdock.runtime.spec import USER_ANNOTATION

if TYPE_CHECKING:
    from airdock.containers.record import ContainerRecord
    from airdock.images.image import Image, Layer
    from airdock.images.store import ImageStore

__all__ = ["commit_container", "export_container", "merge_config"]


def export_container(view: View, write: Callable[[bytes], object]) -> None:
    """Write the root of a container as a tar, without what is mounted in it."""
    own = view if view.is_running else replace(view, mounts=())
    take_stream(own, {"path": "/", "top": "", "hidden": own.hidden, "xattrs": True}, write)


def commit_container(
    view: View,
    base: "Image",
    images: "ImageStore",
    *,
    config: ImageConfig,
    ignore: Sequence[str],
    author: str,
    message: str,
    command: Sequence[str],
    created: str,
) -> "Image":
    """An image of `base` and what the container wrote. `config` is what it starts with; it has no name yet.

    `ignore` are paths that stay out. The container keeps its files. Raises ContainerError, ImageError.
    """
    layers: list[Layer] = list(base.layers)
    upper = Path(view.folder, "upper")
    if upper.is_dir():
        layers.append(images.commit_upper(upper, ignore=ignore, keep=True))
    entry = History(
        created=created, created_by=shlex.join(command), author=author, comment=message, empty_layer=not upper.is_dir()
    )
    made = replace(config, created=created, author=author or config.author, history=(*base.config.history, entry))
    return images.put_image(made, layers)


def merge_config(
    base: ImageConfig, config: Mapping[str, Any], *, record: "ContainerRecord | None" = None
) -> ImageConfig:
    """The image's configuration with what the container was started with over it.

    `config` is the container's OCI configuration; `record` knows its ENTRYPOINT and CMD apart, its ports and labels.
    """
    process = config["process"]
    made = replace(
        base,
        env=tuple(process["env"]),
        user=config.get("annotations", {}).get(USER_ANNOTATION, "") or base.user,
        working_dir=process["cwd"] if process["cwd"] != "/" or base.working_dir else "",
    )
    if record is None:
        return replace(made, entrypoint=None, cmd=tuple(process["args"]))
    return replace(
        made,
        entrypoint=record.entrypoint,
        cmd=tuple(record.cmd),
        labels=dict(record.labels),
        exposed_ports=tuple(sorted({*base.exposed_ports, *record.exposed_ports})),
    )
