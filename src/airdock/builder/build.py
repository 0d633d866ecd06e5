"""The story of a build: read, plan, then do each step of each stage that is needed, unless it was done before.

Equal inputs give equal images, so nothing here takes the time of day. `created`, in the image and its history, is
SOURCE_DATE_EPOCH where that build argument is given, else the base image's, else 2000-01-01. Files from the context,
new folders and heredocs get the same fixed time (`copying.py` says why), and so does what RUN writes (`times.py`). When
an image was made or tagged is the store's to remember.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from airdock.builder.base import BuildRequest, FindBase, RunStep
from airdock.builder.cache import BuildCache
from airdock.builder.cancel import Cancel
from airdock.builder.contexts import newest_time, open_context
from airdock.builder.dockerfile import make_dockerfile
from airdock.builder.explain import Journal
from airdock.builder.instructions import Dockerfile
from airdock.builder.known import Known
from airdock.builder.named import LAYOUT, folder_image, is_folder, load_layout, loose_image, rename, replacement
from airdock.builder.outputs import write_archive, write_files
from airdock.builder.parser import Document, parse
from airdock.builder.perform import Built, Performer
from airdock.builder.plan import Selection, plan, select
from airdock.builder.platforms import platform_arguments, render_platform, split_platform
from airdock.builder.recall import Recall
from airdock.builder.solver import Solver, Stages
from airdock.builder.steps import CopyFiles, Plan
from airdock.builder.transport import export_steps, import_steps
from airdock.clock import Clock
from airdock.errors import AirdockError, BuildError, DockerfileError, UnknownImageError
from airdock.images.image import Image
from airdock.images.store import ImageStore
from airdock.model.progress import Note, Report
from airdock.oci.config import ImageConfig
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
    recall: Recall | None = None,
    pull: Callable[[str], Image] | None = None,
    push: Callable[[str], object] | None = None,
) -> Image:
    """Build an image and give it its tags. `cache` is a folder of the builder's own.

    Tells `BuildStep` and `BuildOutput`; what begins and ends around them is the caller's to tell. Raises
    `DockerfileError`, `StepFailedError`, `UnknownImageError`, or `BuildError` for what can't be copied. Nothing is left
    behind then but finished steps in the cache. The image is in the store unless the request has outputs for files or
    archives only, and no tags. What is to be remembered of the whole build, `recall` gets.
    `pull` and `push` carry cached steps from and to registries.
    """
    document = parse(request.dockerfile, name=request.name)
    file = make_dockerfile(document, name=request.name)
    renamed = rename(file, request.contexts)
    platform = host_platform()
    steps = BuildCache(folder=cache, store=store)
    with steps.working_folder() as folder, Cancel() as cancel:
        _import(request, steps, store, folder / "cache.tar", pull or find, report)
        images: dict[str, Image] = {}
        performer = Performer(
            request=request,
            store=store,
            run=run,
            report=report,
            cache=steps,
            known=Known(steps),
            folder=folder,
            images=images,
            done={},
            epoch=_source_date_epoch(request),
            cancel=cancel,
        )

        def look_up(name: str, line: int) -> Image:
            if name not in images:
                images[name] = _find_context(performer, name) or _find(find, name, file, line)
            return images[name]

        selection = select(
            renamed,
            args=request.args,
            target=request.target,
            platform=platform,
            on_build=lambda name, line: look_up(name, line).config.on_build,
        )
        for name, line in selection.images.items():
            look_up(name, line)
        configs = {name: image.config for name, image in images.items()}
        planned = plan(renamed, selection, args=request.args, platform=platform, configs=configs)
        warnings = _find_mistakes(performer, document, file, planned, selection, configs)
        stages = Stages(stage.index for stage in planned.stages)
        name = str(Path(request.name).absolute()) if request.context else f"{request.label} {request.name}"
        journal = Journal(folder=cache / "inputs", name=f"{name} {request.target or ''}")
        performer = replace(performer, done=stages, journal=journal)
        try:
            result = Solver(performer=performer, plan=planned, stages=stages, cancel=cancel, clock=clock).solve()
        finally:
            journal.save()
        config = replace(result.config, labels={**result.config.labels, **request.labels})
        image = _put(performer, replace(result, config=config))
        for place in request.cache_to:
            keys = performer.known.used
            export_steps(place, store=store, cache=steps, keys=keys, result=result.layers, push=push or _no_registry)
    notes = [f"warning: {warning}" for warning in warnings]
    for note in notes:
        report(Note(line=note))
    if recall is not None and not _fetches(planned):
        bases = {name: each.digest for name, each in images.items()}
        recall.remember(image, bases=bases, steps=list(performer.known.used), told=planned.texts, notes=notes)
    return image


def _import(
    request: BuildRequest,
    steps: BuildCache,
    store: ImageStore,
    spool: Path,
    pull: Callable[[str], Image],
    report: Report,
) -> None:
    """Take cached steps from elsewhere; a build can do without, so what fails is only told."""
    for place in request.cache_from:
        try:
            import_steps(place, store=store, cache=steps, spool=spool, pull=pull)
        except AirdockError as error:
            report(Note(line=f"warning: no cached steps from {place.target}: {error.message}"))


def _no_registry(name: str) -> object:
    raise BuildError("expected a registry client for the cached steps, found none here", where=name)


def _fetches(planned: Plan) -> bool:
    """Whether steps read from servers, so that equal files here don't mean equal images."""
    actions = [step.action for stage in planned.stages for step in stage.steps]
    return any(isinstance(action, CopyFiles) and action.remotes for action in actions)


def _put(performer: Performer, result: Built) -> Image:
    """Put the result where it is wanted."""
    request, store = performer.request, performer.store
    outputs = request.outputs
    if outputs and not request.tags and all(output.is_files for output in outputs):
        image = loose_image(result.config, result.layers)
    else:
        image = store.put_image(result.config, result.layers, annotations=request.annotations)
        for tag in request.tags:
            store.tag(tag, image.digest)
    for output in outputs:
        if output.is_files:
            write_files(output, write=partial(performer.write_files, result.layers), spool=performer.folder / "out.tar")
        elif output.target:
            write_archive(output, store, image, request.tags)
    return image


def _find_mistakes(
    performer: Performer,
    document: Document,
    file: Dockerfile,
    planned: Plan,
    selection: Selection,
    configs: Mapping[str, ImageConfig],
) -> list[str]:
    """What is odd about the Dockerfile; raises `DockerfileError` where it wants to be refused then."""
    request = performer.request
    warnings = list(planned.warnings)
    if request.check:
        from airdock.builder.lint import lint, refuse

        found = lint(
            document,
            file,
            args=request.args,
            globals_=platform_arguments(host_platform()),
            stages=selection.bases,
            base_env=lambda index: _base_env(selection.bases.get(index), configs),
            ignore=performer.ignore_rules(),
        )
        warnings += [f"{finding.rule}: {finding.detail} ({file.name}:{finding.line})" for finding in found]
        refuse(document, file, request.args, found)
    return warnings


def _base_env(base: int | str | None, configs: Mapping[str, ImageConfig]) -> list[str] | None:
    if isinstance(base, str):
        return [entry.partition("=")[0] for entry in configs[base].env] if base in configs else None
    return [] if base is None else None


def _find_context(performer: Performer, name: str) -> Image | None:
    """The image that a build context makes; None for the name of a plain image."""
    for context, value in performer.request.contexts.items():
        if replacement(context, value) != name:
            continue
        if value.startswith(LAYOUT):
            return load_layout(performer.store, value, performer.folder / "layout.tar")
        if is_folder(value):
            place = performer.folder / f"named-{len(performer.images)}"
            opened = open_context(value, place=place, ssh=performer.request.ssh)
            if opened.folder is None:
                raise BuildError("expected a folder, an archive or a repository, found a text", where=value)
            return folder_image(performer.import_folder(opened.folder), host_platform())
    return None


def _find(find: FindBase, name: str, file: Dockerfile, line: int) -> Image:
    where = f"{file.name}:{line}"
    plain, platform = split_platform(name)
    try:
        image = find(plain, platform=platform)
    except UnknownImageError as error:
        raise UnknownImageError(error.message, where=where, hint=error.hint) from error
    if platform is not None and image.config.architecture != platform.architecture:
        found, wanted = image.config.architecture, render_platform(platform)
        raise UnknownImageError(f"expected the image {plain} for {wanted}, found it for {found} only", where=where)
    return image


def _source_date_epoch(request: BuildRequest) -> int | None:
    text = request.args.get("SOURCE_DATE_EPOCH", "")
    if text == "context":
        return request.context_time_s if request.context is None else _context_time(request)
    if text and not re.fullmatch(r"[0-9]{1,11}", text):
        raise DockerfileError(
            f"expected SOURCE_DATE_EPOCH to be seconds since 1970, found {text!r}", where=request.name
        )
    return int(text) if text else None


def _context_time(request: BuildRequest) -> int:
    assert request.context is not None
    return newest_time(request.context) if request.context_time_s is None else request.context_time_s
