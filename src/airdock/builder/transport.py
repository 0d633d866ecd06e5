"""`--cache-to` and `--cache-from`: cached steps on their way to other machines, in a folder or a registry.

What travels is an image that nobody runs: its layers are those of the steps, and a label of its configuration says
which keys each of them is for. So every registry takes it, and every tool that reads OCI layouts can look into it.

    type=local,dest=DIR[,mode=min|max]        an OCI layout; type=local,src=DIR reads it
    type=registry,ref=NAME[,mode=min|max]     a registry; NAME alone is the same for --cache-from

mode=min has the steps whose layers are in the result, mode=max all steps of all stages that were built.
"""

import csv
import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from airdock.builder.cache import BuildCache
from airdock.builder.named import LAYOUT, load_layout
from airdock.errors import BuildError
from airdock.files import save_bytes
from airdock.images.image import Image, Layer
from airdock.images.store import ImageStore
from airdock.oci.config import ImageConfig
from airdock.oci.descriptor import Descriptor, host_platform
from airdock.oci.digest import Digest
from airdock.oci.document import canonical_bytes
from airdock.oci.manifest import Index, Manifest
from airdock.oci.media_types import CONFIG, MANIFEST
from airdock.record import record

__all__ = ["LABEL", "CachePlace", "export_steps", "import_steps", "parse_place"]

LABEL: Final = "airdock.cache.steps"
"""JSON: the keys of steps by the diff id of the layer that they make."""

_KINDS: Final = ("local", "registry")
_MODES: Final = ("min", "max")


@record
class CachePlace:
    """Where steps go or come from. `target` is a folder, or a name in a registry."""

    kind: str
    target: str
    mode: str = "min"


def parse_place(text: str, *, is_export: bool) -> CachePlace:
    """The value of `--cache-to` or `--cache-from`. Raises `BuildError`."""
    flag = "--cache-to" if is_export else "--cache-from"
    if "=" not in text:
        return CachePlace(kind="registry", target=text)
    found = dict(part.partition("=")[::2] for part in next(csv.reader([text]), []))
    kind = found.get("type", "")
    if kind not in _KINDS:
        raise BuildError(
            f"expected {flag} type= to be local or registry, found {kind!r}",
            hint="an image carries no cached steps: send them beside it, type=registry,ref=NAME"
            if kind == "inline"
            else "such as type=local,dest=DIR or type=registry,ref=NAME",
        )
    wanted = "ref" if kind == "registry" else "dest" if is_export else "src"
    target = found.get(wanted, "")
    if not target:
        raise BuildError(f"expected {wanted}= for {flag} type={kind}, found none in {text!r}")
    mode = found.get("mode", "min")
    if mode not in _MODES:
        raise BuildError(f"expected mode= of {flag} to be min or max, found {mode!r}")
    return CachePlace(kind=kind, target=target, mode=mode)


def export_steps(
    place: CachePlace,
    *,
    store: ImageStore,
    cache: BuildCache,
    keys: Iterable[str],
    result: Iterable[Layer],
    push: Callable[[str], object],
) -> None:
    """Send the steps with these keys. `result` are the layers of the image that was built."""
    wanted = {layer.diff_id for layer in result}
    layers: dict[Digest, Layer] = {}
    steps: dict[str, list[str]] = {}
    for key in sorted(keys):
        layer = cache.load(key)
        if layer is None or (place.mode == "min" and layer.diff_id not in wanted):
            continue
        layers[layer.diff_id] = layer
        steps.setdefault(str(layer.diff_id), []).append(key)
    if not layers:
        return
    ordered = tuple(layers[diff_id] for diff_id in sorted(layers))
    platform = host_platform()
    config = ImageConfig(
        architecture=platform.architecture,
        variant=platform.variant,
        labels={LABEL: json.dumps(steps, sort_keys=True)},
        diff_ids=tuple(layer.diff_id for layer in ordered),
    )
    if place.kind == "registry":
        store.tag(place.target, store.put_image(config, ordered).digest)
        push(place.target)
    else:
        _write_layout(Path(place.target), store, config, ordered)


def import_steps(
    place: CachePlace, *, store: ImageStore, cache: BuildCache, spool: Path, pull: Callable[[str], Image]
) -> int:
    """Take steps into the cache; gives how many. Raises `ImageError`, `BuildError` for what can't be read."""
    is_far = place.kind == "registry"
    image = pull(place.target) if is_far else load_layout(store, f"{LAYOUT}{place.target}", spool)
    layers = {str(layer.diff_id): layer for layer in image.layers}
    count = 0
    for diff_id, keys in _read_steps(image.labels, place.target).items():
        if diff_id not in layers or not store.adopt(layers[diff_id]):
            continue
        for key in (key for key in keys if cache.load(key) is None):
            cache.save(key, layers[diff_id])
            count += 1
    return count


def _read_steps(labels: Mapping[str, str], where: str) -> dict[str, list[str]]:
    try:
        found = json.loads(labels[LABEL])
        steps = {str(diff_id): [key for key in keys if _is_key(key)] for diff_id, keys in found.items()}
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise BuildError("expected cached steps, found another image", where=where) from error
    return steps


def _is_key(text: object) -> bool:
    return isinstance(text, str) and len(text) == 64 and not set(text) - set("0123456789abcdef")


def _write_layout(folder: Path, store: ImageStore, config: ImageConfig, layers: tuple[Layer, ...]) -> None:
    """An OCI layout with what is needed of it; blobs that are there stay."""
    blobs = folder / "blobs" / "sha256"
    try:
        blobs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BuildError(f"expected a folder for the cache, found: {error.strerror}", where=str(folder)) from error
    for layer in layers:
        target = blobs / layer.descriptor.digest.hex
        if not target.exists() or target.stat().st_size != layer.descriptor.size:
            partial = blobs / f".{target.name}.partial"
            shutil.copyfile(store.blob_path(layer.descriptor.digest), partial)
            partial.rename(target)
    described = _put(blobs, config.to_bytes(), CONFIG)
    manifest = Manifest(config=described, layers=tuple(layer.descriptor for layer in layers))
    index = Index(manifests=(_put(blobs, manifest.to_bytes(), MANIFEST),))
    save_bytes(folder / "oci-layout", canonical_bytes({"imageLayoutVersion": "1.0.0"}), durable=False)
    save_bytes(folder / "index.json", canonical_bytes(index.to_json()), durable=False)


def _put(blobs: Path, content: bytes, media_type: str) -> Descriptor:
    digest = Digest(f"sha256:{hashlib.sha256(content).hexdigest()}")
    save_bytes(blobs / digest.hex, content, durable=False)
    return Descriptor(media_type=media_type, digest=digest, size=len(content))
