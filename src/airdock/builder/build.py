"""The story of a build: read, plan, then do each step of each stage that is needed, unless it was done before.

Equal inputs give equal images, so nothing here takes the time of day. `created`, in the image and its history, is
SOURCE_DATE_EPOCH where that build argument is given, else the base image's, else 2000-01-01. Files from the context,
new folders and heredocs get the same fixed time (`copying.py` says why), and so does what RUN writes (`times.py`). When
an image was made or tagged is the store's to remember.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from airdock.builder.base import BuildRequest, FindBase, RunStep
from airdock.builder.bases import Bases
from airdock.builder.cache import BuildCache
from airdock.builder.cancel import Cancel
from airdock.builder.copies import write_tar
from airdock.builder.dockerfile import make_dockerfile
from airdock.builder.explain import Journal
from airdock.builder.instructions import Dockerfile
from airdock.builder.known import Known
from airdock.builder.named import loose_image, rename
from airdock.builder.outputs import write_archive, write_files
from airdock.builder.parser import Document, parse
from airdock.builder.performer import Built, Performer
from airdock.builder.plan import Selection, plan, select
from airdock.builder.platforms import platform_arguments
from airdock.builder.recall import Recall
from airdock.builder.solver import Solver, Stages
from airdock.builder.steps import CopyFiles, Plan
from airdock.builder.times import source_date_epoch
from airdock.builder.transport import export_steps, import_steps
from airdock.clock import Clock
from airdock.errors import AirdockError, BuildError
from airdock.images.image import Image
from airdock.images.store import ImageStore
from airdock.model.progress import Note, Report
from airdock.oci.descriptor import host_platform
from airdock.oci.reference import parse_reference

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
    for tag in request.tags:
        parse_reference(tag)  # a name that is none is told before anything is done
    document = parse(request.dockerfile, name=request.name)
    file = make_dockerfile(document, name=request.name)
    steps = BuildCache(folder=cache, store=store)
    with steps.working_folder() as folder, _owner(store, folder) as owner, Cancel() as cancel:
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
            epoch=source_date_epoch(request),
            cancel=cancel,
        )
        bases = Bases(file=file, find=find, performer=performer, owner=owner, images=images)
        planned, warnings = _plan(request, document, file, bases)
        stages = Stages(stage.index for stage in planned.stages)
        with _journal(request, cache) as journal:
            performer = replace(performer, done=stages, journal=journal)
            result = Solver(performer=performer, plan=planned, stages=stages, cancel=cancel, clock=clock).solve()
        image = _put(performer, result)
        for place in request.cache_to:
            keys = performer.known.used
            export_steps(place, store=store, cache=steps, keys=keys, result=result.layers, push=push or _no_registry)
    notes = [f"warning: {warning}" for warning in warnings]
    for note in notes:
        report(Note(line=note))
    if recall is not None and not _fetches(planned):
        digests = {name: each.digest for name, each in images.items()}
        recall.remember(image, bases=digests, steps=list(performer.known.used), told=planned.texts, notes=notes)
    return image


def _plan(request: BuildRequest, document: Document, file: Dockerfile, bases: Bases) -> tuple[Plan, list[str]]:
    """What will be done, and what is odd about it. Raises `DockerfileError`, `UnknownImageError`."""
    renamed = rename(file, request.contexts)
    host = host_platform()
    selection = select(
        renamed,
        args=request.args,
        target=request.target,
        platform=request.platform or host,
        host=host,
        on_build=lambda name, line: bases.look_up(name, line).config.on_build,
    )
    for name, line in selection.images.items():
        bases.look_up(name, line)
    planned = plan(renamed, selection, args=request.args, configs=bases.configs)
    return planned, [*planned.warnings, *_find_mistakes(document, file, selection, bases)]


@contextmanager
def _owner(store: ImageStore, folder: Path) -> Iterator[str]:
    """Who keeps the layers of one build's bases, until it ends."""
    owner = f"build {folder.name}"
    try:
        yield owner
    finally:
        store.release(owner)


@contextmanager
def _journal(request: BuildRequest, cache: Path) -> Iterator[Journal]:
    """What went into the steps of this Dockerfile; kept however the build ends."""
    name = str(Path(request.name).absolute()) if request.context else f"{request.label} {request.name}"
    journal = Journal(folder=cache / "inputs", name=f"{name} {request.target or ''}")
    try:
        yield journal
    finally:
        journal.save()


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


def _put(performer: Performer, built: Built) -> Image:
    """Put the result where it is wanted."""
    request, store = performer.request, performer.store
    result = replace(built, config=replace(built.config, labels={**built.config.labels, **request.labels}))
    outputs = request.outputs
    if outputs and not request.tags and all(output.is_files for output in outputs):
        image = loose_image(result.config, result.layers)
    else:
        image = store.put_image(result.config, result.layers, annotations=request.annotations)
        for tag in request.tags:
            store.tag(tag, image.digest)
    for output in outputs:
        if output.is_files:
            write = partial(write_tar, performer, result.layers)
            write_files(output, write=write, spool=performer.folder / "out.tar")
        elif output.target:
            write_archive(output, store, image.digest, request.tags, spool=performer.folder / "out.tar")
    return image


def _find_mistakes(document: Document, file: Dockerfile, selection: Selection, bases: Bases) -> list[str]:
    """What build checks find; raises `DockerfileError` where the Dockerfile wants to be refused then."""
    request = bases.performer.request
    if not request.check:
        return []
    from airdock.builder.lint import lint, refuse

    found = lint(
        document,
        file,
        args=request.args,
        globals_=platform_arguments(host_platform(), host=host_platform()),
        stages=selection.bases,
        base_env=lambda index: bases.variables(selection.bases.get(index)),
        platforms=bases.platforms(selection),
        ignore=bases.performer.ignore_rules(),
    )
    refuse(document, file, request.args, found)
    return [f"{finding.rule}: {finding.detail} ({file.name}:{finding.line})" for finding in found]
