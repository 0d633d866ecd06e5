"""The story of a build: read, plan, then do each step of each stage that is needed, unless it was done before.

Equal inputs give equal images, so nothing here takes the time of day. `created`, in the image and its history, is
SOURCE_DATE_EPOCH where that build argument is given, else the base image's, else 2000-01-01. Files from the context,
new folders and heredocs get the same fixed time (`copying.py` says why); what RUN writes keeps its own, because
programs rely on it, unless SOURCE_DATE_EPOCH bounds it. When an image was made or tagged is the store's to remember.
"""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from airdock.builder.base import BuildRequest, FindBase, RunStep
from airdock.builder.cache import BuildCache
from airdock.builder.dockerfile import parse_dockerfile
from airdock.builder.instructions import Dockerfile
from airdock.builder.perform import FIXED_TIME, Built, Performer
from airdock.builder.plan import plan, select
from airdock.builder.steps import Plan, PlannedStage, Step
from airdock.clock import Clock
from airdock.errors import DockerfileError, UnknownImageError
from airdock.images.image import Image, Layer
from airdock.images.store import ImageStore
from airdock.model.progress import BuildOutput, BuildStep, Report
from airdock.oci.config import History
from airdock.oci.descriptor import host_platform

__all__ = ["build"]

_COMMENT: Final = "airdock.dockerfile.v1"


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
    with steps.working_folder() as folder:
        performer = Performer(
            request=request,
            store=store,
            run=run,
            report=report,
            cache=steps,
            folder=folder,
            images=images,
            done={},
            epoch=_source_date_epoch(request),
        )
        result = _Builder(performer=performer, plan=planned, clock=clock).build()
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


def _render_time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(kw_only=True)
class _Builder:
    """Does the steps of one plan, in order, and tells how far it is."""

    performer: Performer
    plan: Plan
    clock: Clock
    number: int = 0

    def build(self) -> Built:
        store, done = self.performer.store, self.performer.done
        # Bases stay while they're built upon, whoever removes their names meanwhile.
        owner = f"build {self.performer.folder.name}"
        try:
            store.lease((layer.diff_id for image in self.performer.images.values() for layer in image.layers), owner)
            for stage in self.plan.stages:
                done[stage.index] = self._build_stage(stage)
        finally:
            store.release(owner)
        return done[self.plan.stages[-1].index]

    def _build_stage(self, stage: PlannedStage) -> Built:
        started = self._begin(stage, stage.text)
        built = self._base(stage)
        self._end(stage, stage.text, started, cached=True)
        created = self._created(built.config.created)
        layers = list(built.layers)
        history = list(built.config.history)
        for step in stage.steps:
            layer = self._perform(stage, step, replace(built, layers=tuple(layers))) if step.action else None
            if layer is not None:
                layers.append(layer)
            history.append(
                History(created=created, created_by=step.created_by, comment=_COMMENT, empty_layer=layer is None)
            )
        config = replace(stage.config, created=created, history=tuple(history))
        return replace(built, layers=tuple(layers), config=config)

    def _perform(self, stage: PlannedStage, step: Step, below: Built) -> Layer | None:
        started = self._begin(stage, step.text)
        layer, cached = self.performer.perform(step, below)
        self._end(stage, step.text, started, cached=cached)
        return layer

    def _base(self, stage: PlannedStage) -> Built:
        if stage.base is None:
            return Built(layers=(), config=stage.config, labels={})
        if isinstance(stage.base, int):
            return self.performer.done[stage.base]
        image = self.performer.images[stage.base]
        return Built(layers=image.layers, config=image.config, labels=image.labels)

    def _created(self, base: str | None) -> str:
        if self.performer.epoch is not None:
            return _render_time(self.performer.epoch)
        return base or _render_time(FIXED_TIME)

    def _begin(self, stage: PlannedStage, text: str) -> float:
        self.number += 1
        self._tell(stage, text)
        return self.clock.monotonic()

    def _end(self, stage: PlannedStage, text: str, started: float, *, cached: bool) -> None:
        self._tell(stage, text, cached=cached, seconds=self.clock.monotonic() - started)

    def _tell(self, stage: PlannedStage, text: str, *, cached: bool = False, seconds: float | None = None) -> None:
        self.performer.report(
            BuildStep(
                build=self.performer.request.label,
                number=self.number,
                total=self.plan.total,
                text=f"[{stage.name}] {text}" if len(self.plan.stages) > 1 else text,
                cached=cached,
                seconds=seconds,
            )
        )
