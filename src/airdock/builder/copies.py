"""COPY, ADD and WORKDIR: layers written straight from files, unless equal ones were written before."""

import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from airdock.builder.cache import make_key
from airdock.builder.fetching import Fetcher
from airdock.builder.ignore import load_ignore_file
from airdock.builder.performer import Built, Performer
from airdock.builder.steps import CopyFiles, MakeFolder
from airdock.images.image import Layer
from airdock.oci.config import ImageConfig

__all__ = ["copy_files", "import_folder", "make_folder", "write_tar"]

_COPY: Final = "airdock.builder.copying:copy_files"
_MAKE_FOLDER: Final = "airdock.builder.copying:make_folder"
_NAME: Final = re.compile(r"[^0-9:]")
"""What makes a `--chown` one that is looked up in the stage."""


def copy_files(performer: Performer, action: CopyFiles, below: Built) -> tuple[Layer | None, bool]:
    """The layer of the files that are copied, None where there are none, and whether it was known."""
    arguments: dict[str, Any] = {
        "below": performer.stack(below.layers),
        "action": {name: value for name, value in asdict(action).items() if name != "source"},
        "time_s": performer.time_s,
        "latest_s": performer.epoch,
    }
    origin = _origin(performer, action)
    # What is named by its content needs not be read at all.
    named = make_key(
        "copy from",
        below=() if action.link and not _NAME.search(action.chown) else below.diff_ids,
        source=origin,
        action=arguments["action"],
        epoch=performer.epoch,
    )
    layer = performer.load(named) if origin else None
    if origin:
        performer.note({**arguments["action"], "source": origin, "from": str(action.source)}, hit=layer is not None)
    if layer is not None:
        return layer, True
    if action.source is None:
        arguments["source"] = performer.context(needed_for=next(iter(action.sources), ""))
    else:
        arguments["source"] = performer.stack(performer.source(action.source))
    with _fetcher(performer).fetch(action.remotes) as fetched:
        arguments["fetched"] = fetched
        layer, cached = _make_layer(performer, _COPY, arguments, below, measure_first=not origin)
    if origin and layer is not None:
        performer.known.save(named, layer)
    return layer, cached


def _origin(performer: Performer, action: CopyFiles) -> list[str] | None:
    """What names the files that are copied: layers, commits, checksums; None where they have to be looked at."""
    if action.source is not None:
        return [layer.diff_id for layer in performer.source(action.source)]
    return None if action.sources else _fetcher(performer).identify(action.remotes)


def import_folder(performer: Performer, folder: Path) -> Layer | None:
    """All files of a folder as one layer, as `COPY . /` would make it; None where there are none."""
    where, patterns = load_ignore_file("Dockerfile", folder)
    action = CopyFiles(sources=(".",), destination="/", link=True)
    arguments = {
        "below": {"folders": []},
        "source": {"context": str(folder.resolve()), "ignore": patterns, "where": where},
        "action": {name: value for name, value in asdict(action).items() if name != "source"},
        "time_s": performer.time_s,
        "latest_s": performer.epoch,
    }
    below = Built(layers=(), config=ImageConfig(architecture=""), labels={})
    return _make_layer(performer, _COPY, arguments, below, measure_first=True)[0]


def write_tar(performer: Performer, layers: tuple[Layer, ...], tar: str) -> None:
    """Write a tar of all files that a stack of layers shows."""
    action = CopyFiles(sources=(".",), destination="/", link=True)
    arguments = {
        "below": {"folders": []},
        "source": performer.stack(layers),
        "action": {name: value for name, value in asdict(action).items() if name != "source"},
        "time_s": performer.time_s,
        "latest_s": performer.epoch,
        "tar": tar,
    }
    performer.call(_COPY, arguments)


def _fetcher(performer: Performer) -> Fetcher:
    request = performer.request
    return Fetcher(folder=performer.folder, secrets=request.secrets, ssh=request.ssh, time_s=performer.time_s)


def make_folder(performer: Performer, action: MakeFolder, below: Built) -> tuple[Layer | None, bool]:
    """The layer of a folder, None where it's there, and whether it was known."""
    arguments = {
        "below": performer.stack(below.layers),
        "path": action.path,
        "user": action.user,
        "time_s": performer.time_s,
    }
    return _make_layer(performer, _MAKE_FOLDER, arguments, below, measure_first=True)


def _make_layer(
    performer: Performer, function: str, arguments: Mapping[str, Any], below: Built, *, measure_first: bool
) -> tuple[Layer | None, bool]:
    """The layer that a function of `copying.py` writes, unless its key is known; None where it would be empty."""
    if measure_first and not performer.fresh:
        found = performer.call(function, {**arguments, "tar": None})
        if not found["entries"]:
            return None, True
        layer = performer.load(_content_key(performer, found, arguments, below))
        performer.note({"files": found["files"], "epoch": performer.epoch}, hit=layer is not None)
        if layer is not None:
            return layer, True
    tar = performer.folder / f"layer-{performer.number}.tar"
    try:
        found = performer.call(function, {**arguments, "tar": str(tar)})
        if not found["entries"]:
            return None, False
        key = _content_key(performer, found, arguments, below)
        layer = performer.load(key)
        if layer is None:
            layer = performer.store.commit_tar(tar)
            performer.known.save(key, layer)
        return layer, False
    finally:
        tar.unlink(missing_ok=True)


def _content_key(performer: Performer, found: Mapping[str, Any], arguments: Mapping[str, Any], below: Built) -> str:
    return make_key(
        "copy",
        content=found["key"],
        below=below.diff_ids if found["unpacks"] and not arguments.get("action", {}).get("link") else (),
        time_s=arguments["time_s"],
        latest_s=arguments.get("latest_s"),
    )
