"""The story of a build: read, plan, then do each step of each stage that is needed, unless it was done before.

Equal inputs give equal images, so nothing here takes the time of day. `created`, in the image and its history, is
SOURCE_DATE_EPOCH where that build argument is given, else the base image's, else 2000-01-01. Files from the context,
new folders and heredocs get the same fixed time (`copying.py` says why); what RUN writes keeps its own, because
programs rely on it, unless SOURCE_DATE_EPOCH bounds it. When an image was made or tagged is the store's to remember.
"""

import re
from pathlib import Path

from airdock.builder.base import BuildRequest, FindBase, RunStep
from airdock.builder.cache import BuildCache
from airdock.builder.cancel import Cancel
from airdock.builder.dockerfile import parse_dockerfile
from airdock.builder.instructions import Dockerfile
from airdock.builder.known import Known
from airdock.builder.perform import Performer
from airdock.builder.plan import plan, select
from airdock.builder.solver import Solver, Stages
from airdock.clock import Clock
from airdock.errors import DockerfileError, UnknownImageError
from airdock.images.image import Image
from airdock.images.store import ImageStore
from airdock.model.progress import BuildOutput, Report
from airdock.oci.descriptor import host_platform

__all__ = ["build"]


def build(
    request: BuildRequest,
    *,
    store: ImageStore,
    run: RunStep,
    find: FindBase,
    report: Report,
    clock: Clock,
    cache: Path,
) -> Image:
    """Build an image and give it its tags. `cache` is a folder of the builder's own.

    Tells `BuildStep` and `BuildOutput`; what begins and ends around them is the caller's to tell. Raises
    `DockerfileError`, `StepFailedError`, `UnknownImageError`, or `BuildError` for what can't be copied. Nothing is left
    behind then but finished steps in the cache.
    """
    file = parse_dockerfile(request.dockerfile, name=request.name)
    platform = host_platform()
    images: dict[str, Image] = {}

    def look_up(name: str, line: int) -> Image:
        if name not in images:
            images[name] = _find(find, name, file, line)
        return images[name]

    selection = select(
        file,
        args=request.args,
        target=request.target,
        platform=platform,
        on_build=lambda name, line: look_up(name, line).config.on_build,
    )
    for name, line in selection.images.items():
        look_up(name, line)
    planned = plan(
        file,
        selection,
        args=request.args,
        platform=platform,
        configs={name: image.config for name, image in images.items()},
    )
    for warning in planned.warnings:
        report(BuildOutput(build=request.label, line=f"warning: {warning}"))
    steps = BuildCache(folder=cache, store=store)
    with steps.working_folder() as folder, Cancel() as cancel:
        stages = Stages(stage.index for stage in planned.stages)
        performer = Performer(
            request=request,
            store=store,
            run=run,
            report=report,
            cache=steps,
            known=Known(steps),
            folder=folder,
            images=images,
            done=stages,
            epoch=_source_date_epoch(request),
            cancel=cancel,
        )
        result = Solver(performer=performer, plan=planned, stages=stages, cancel=cancel, clock=clock).solve()
    image = store.put_image(result.config, result.layers)
    for tag in request.tags:
        store.tag(tag, image.digest)
    return image


def _find(find: FindBase, name: str, file: Dockerfile, line: int) -> Image:
    try:
        return find(name)
    except UnknownImageError as error:
        raise UnknownImageError(error.message, where=f"{file.name}:{line}", hint=error.hint) from error


def _source_date_epoch(request: BuildRequest) -> int | None:
    text = request.args.get("SOURCE_DATE_EPOCH", "")
    if text and not re.fullmatch(r"[0-9]{1,11}", text):
        raise DockerfileError(
            f"expected SOURCE_DATE_EPOCH to be seconds since 1970, found {text!r}", where=request.name
        )
    return int(text) if text else None
