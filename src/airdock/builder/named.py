"""`--build-context NAME=…`: other files, images or stages in the place of what a Dockerfile names.

    NAME=DIR, NAME=https://…         a folder, as if it were an image of one layer
    NAME=docker-image://IMAGE        an image
    NAME=oci-layout://DIR[:TAG]      an image in a folder, as skopeo and buildx write it
    NAME=target:STAGE                a stage of the same Dockerfile

Source: https://docs.docker.com/reference/cli/docker/buildx/build/#build-context.
"""

import hashlib
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from airdock.builder.instructions import Dockerfile, Instruction, Run, Stage, Transfer
from airdock.errors import BuildError
from airdock.images.archive_load import load_images
from airdock.images.image import Image, Layer
from airdock.images.store import ImageStore
from airdock.oci.config import ImageConfig
from airdock.oci.descriptor import Descriptor, Platform
from airdock.oci.digest import Digest
from airdock.oci.manifest import Manifest
from airdock.oci.media_types import CONFIG

__all__ = ["LAYOUT", "folder_image", "is_folder", "load_layout", "loose_image", "rename", "replacement"]

IMAGE: Final = "docker-image://"
LAYOUT: Final = "oci-layout://"
TARGET: Final = "target:"


def replacement(name: str, value: str) -> str:
    """What a name stands for from now on: an image's or a stage's name, or one that no image can have."""
    if value.startswith(IMAGE):
        return value.removeprefix(IMAGE)
    if value.startswith(TARGET):
        return value.removeprefix(TARGET)
    return f"build context {name}"


def is_folder(value: str) -> bool:
    """Whether a context is files, not an image or a stage."""
    return not value.startswith((IMAGE, LAYOUT, TARGET))


def rename(file: Dockerfile, contexts: Mapping[str, str]) -> Dockerfile:
    """The Dockerfile with the names of contexts replaced in FROM, `--from` and `from=`."""
    names = {name.lower(): replacement(name, value) for name, value in contexts.items()}
    return replace(file, stages=tuple(_rename_stage(stage, names) for stage in file.stages)) if names else file


def _rename_stage(stage: Stage, names: Mapping[str, str]) -> Stage:
    start = replace(stage.start, image=names.get(stage.start.image.lower(), stage.start.image))
    return Stage(start=start, instructions=tuple(_rename(instruction, names) for instruction in stage.instructions))


def _rename(instruction: Instruction, names: Mapping[str, str]) -> Instruction:
    if isinstance(instruction, Transfer) and instruction.from_.lower() in names:
        return replace(instruction, from_=names[instruction.from_.lower()])
    if isinstance(instruction, Run):
        mounts = tuple(
            {**keys, "from": names[keys["from"].lower()]} if keys.get("from", "").lower() in names else keys
            for keys in instruction.mounts
        )
        return replace(instruction, mounts=mounts)
    return instruction


def folder_image(layer: Layer | None, platform: Platform) -> Image:
    """An image of one layer that is in no store: for builds that need it to have files from."""
    layers = () if layer is None else (layer,)
    config = ImageConfig(
        os=platform.os,
        architecture=platform.architecture,
        variant=platform.variant,
        diff_ids=tuple(each.diff_id for each in layers),
    )
    return loose_image(config, layers)


def loose_image(config: ImageConfig, layers: tuple[Layer, ...]) -> Image:
    """An image as it would be in a store, but in none."""
    content = config.to_bytes()
    described = Descriptor(media_type=CONFIG, digest=_digest(content), size=len(content))
    manifest = Manifest(config=described, layers=tuple(layer.descriptor for layer in layers))
    return Image(digest=_digest(manifest.to_bytes()), manifest=manifest, config=config)


def _digest(content: bytes) -> Digest:
    return Digest(f"sha256:{hashlib.sha256(content).hexdigest()}")


def load_layout(store: ImageStore, value: str, spool: Path) -> Image:
    """The image that `oci-layout://DIR[:TAG|@DIGEST]` means, taken into the store. `spool` is a file for the way."""
    text = value.removeprefix(LAYOUT)
    path, _, digest = text.partition("@")
    tag = ""
    if not Path(path).is_dir():
        path, _, tag = path.rpartition(":")
    if not Path(path, "index.json").is_file():
        raise BuildError("expected an OCI layout with an index.json, found none", where=path or text)
    with tarfile.open(spool, "w") as archive:
        for name in ("oci-layout", "index.json", "blobs"):
            archive.add(Path(path, name), arcname=name)
    with spool.open("rb") as file:
        found = load_images(store, file)
    spool.unlink()
    for image in found:
        if (digest and image.digest == digest) or (
            not digest and (not tag or any(name.tag == tag for name in image.names))
        ):
            return store.find(image.digest)
    raise BuildError(f"expected an image {tag or digest or 'of any name'} in the layout, found none", where=path)
