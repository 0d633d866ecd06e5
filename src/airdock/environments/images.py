"""Environments as images, and what is remembered of them.

AIRDOCK_HOME/cache/
  environments/
    locks/<key>.json         what was resolved for (base, Python, requirements, index settings), and the image it became
    locks/<key>.lock         held while that is made
    pythons/<digest>.json    the Python of an image
  uv/                        uv's cache of wheels, shared by all
  uv-source/                 uv's cache where source distributions are built: code of strangers writes there

What is remembered makes a second run cost a look at two small files.
"""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from airdock.engine import Engine
from airdock.environments.base import Prepared
from airdock.environments.handover import Handover, hand_over
from airdock.environments.host import HOST, HostImage
from airdock.environments.index import IndexSettings
from airdock.environments.install import INDEX, Installer, Lock, probe_python
from airdock.environments.once import Once, hold_lock
from airdock.environments.python import Interpreter, parse_version
from airdock.environments.requirements import normalise
from airdock.errors import AirdockError, EnvironmentFailedError, StepFailedError, UnknownImageError
from airdock.files import save_json
from airdock.images.image import Image
from airdock.model.environment import Environment
from airdock.model.progress import BuildFinished, BuildStarted, BuildStep, Progress, Report

__all__ = ["ImageEnvironments"]

_FORMAT: Final = 1
_TAIL_LINES: Final = 15


class ImageEnvironments:
    """Makes images with an engine. `base` names the image that requirements are installed on."""

    def __init__(
        self,
        *,
        engine: Engine,
        host: HostImage,
        folder: Path,
        index: IndexSettings,
        report: Report,
        base: str = HOST,
    ) -> None:
        self._engine = engine
        self._host = host
        self._folder = folder
        self._index = index
        self._report = report
        self._base = base
        self._installer = Installer(engine=engine, folder=folder, cache=folder.parent / "uv", index=index)
        self._once: Once[Prepared] = Once()

    def prepare(self, environment: Environment, *, where: str, dag_folder: Path | None = None) -> Prepared:
        """As `base.Environments` says."""
        try:
            if environment.image is not None:
                return self._find(environment.image)
            if environment.dockerfile is not None:
                path = Path(environment.dockerfile)
                return self._once.get(str(path), lambda: self._build(path, environment.label))
            if requirements := normalise(environment.requirements or ()):
                return self._install(requirements, environment)
            return self._bare(environment.python)
        except AirdockError as error:
            raise _of_task(error, where) from error

    def _find(self, name: str) -> Prepared:
        try:
            was_here = self._engine.has(name)
            return Prepared(digest=str(self._engine.obtain(name).digest), reused=was_here)
        except UnknownImageError as error:
            how = f"airdock image build -t {name} FOLDER"
            hint = f"{error.hint}; or build it: {how}" if "nearest" in error.hint else f"build it: {how}"
            raise UnknownImageError(error.message, hint=hint) from error

    def _bare(self, python: str | None) -> Prepared:
        """No packages: the host image, or for another version that version's."""
        image, interpreter = self._base_of(python) if python is not None else (self._host.ensure(), None)
        version = interpreter.version if interpreter else self._host.interpreter(None).version
        return Prepared(digest=str(image.digest), reused=True, python=version)

    def _base_of(self, python: str | None) -> tuple[Image, Interpreter]:
        """The image to install on, and the Python in it. EnvironmentFailedError where it has another than `python`."""
        if self._base == HOST:
            return self._host.ensure(python), self._host.interpreter(python)
        image = self._engine.obtain(self._base)
        memory = self._folder / "pythons" / f"{image.digest.hex}.json"
        if (known := _load(memory)) is not None:
            interpreter = Interpreter.from_dict(known)
        else:
            interpreter = probe_python(self._engine, image, self._base)
            memory.parent.mkdir(parents=True, exist_ok=True)
            save_json(memory, interpreter.to_dict(), durable=False)
        wanted = parse_version(python) if python is not None else ()
        if interpreter.version[: len(wanted)] != wanted:
            found = ".".join(map(str, interpreter.version))
            raise EnvironmentFailedError(
                f"expected Python {python} in the base {self._base}, found {found}",
                hint="name an image that has it, or set environments.base = 'host' to take this machine's",
            )
        return image, interpreter

    # dockerfile=

    def _build(self, path: Path, label: str) -> Prepared:
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise EnvironmentFailedError(f"expected a Dockerfile, found none: {error}", where=str(path)) from error
        build = hashlib.sha256(str(path).encode()).hexdigest()[:16]
        progress = _Progress(self._report, build, label)
        with progress, hand_over(self._index, self._folder, seen_at=INDEX) as given:
            image = self._installer.build(
                text, name=label, context=path.parent, build=build, report=progress.take, given=given
            )
            return progress.finished(image, python=None)

    # requirements=

    def _install(self, requirements: Sequence[str], environment: Environment) -> Prepared:
        base, interpreter = self._base_of(environment.python)
        said = [_FORMAT, base.digest, interpreter.to_dict(), requirements, self._index.fingerprint]
        key = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]
        return self._once.get(key, lambda: self._make(key, base, interpreter, requirements, environment.label))

    def _make(
        self, key: str, base: Image, interpreter: Interpreter, requirements: Sequence[str], label: str
    ) -> Prepared:
        memory = self._folder / "locks" / f"{key}.json"
        if (found := self._remembered(memory, interpreter)) is not None:
            self._report(BuildFinished(build=key, label=label, digest=found.digest, reused=True))
            return found
        with hold_lock(memory.with_suffix(".lock")):
            if (found := self._remembered(memory, interpreter)) is not None:  # made by another process meanwhile
                self._report(BuildFinished(build=key, label=label, digest=found.digest, reused=True))
                return found
            known = _load(memory)
            progress = _Progress(self._report, key, label)
            with progress, hand_over(self._index, self._folder, seen_at=INDEX) as given:
                lock = self._lock(base, interpreter, requirements, known=known, given=given, progress=progress)
                progress.packages = len(lock.text.splitlines())
                image = self._installer.install(
                    base, interpreter, lock, build=key, report=progress.take_install, given=given
                )
                said = {"lock": lock.text, "needs_build": lock.needs_build, "digest": str(image.digest)}
                save_json(memory, said, durable=False)
                return progress.finished(image, python=interpreter.version)

    def _lock(
        self,
        base: Image,
        interpreter: Interpreter,
        requirements: Sequence[str],
        *,
        known: Mapping[str, Any] | None,
        given: Handover,
        progress: "_Progress",
    ) -> Lock:
        """The lock that is remembered, else a new one."""
        text = f"resolve {' '.join(requirements)}"
        if known is not None:
            progress.step(1, text, cached=True, seconds=0.0)
            return Lock(text=known["lock"], needs_build=known["needs_build"])
        progress.step(1, text)
        started = time.monotonic()
        lock = self._installer.resolve(base, interpreter, requirements, given)
        progress.step(1, text, seconds=time.monotonic() - started)
        return lock

    def _remembered(self, memory: Path, interpreter: Interpreter) -> Prepared | None:
        known = _load(memory)
        if known is None:
            return None
        try:
            image = self._engine.images.find(known["digest"])
        except UnknownImageError:
            return None  # removed since; the lock still holds
        return Prepared(digest=str(image.digest), reused=True, python=interpreter.version)


class _Progress:
    """Tells of one build: its begin, its steps, its end whichever way it goes."""

    def __init__(self, report: Report, build: str, label: str) -> None:
        self._report = report
        self._build = build
        self._label = label
        self._is_made = False
        self.packages = 0
        self._started = time.monotonic()

    def __enter__(self) -> None:
        self._report(BuildStarted(build=self._build, label=self._label))

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            said = error.message if isinstance(error, AirdockError) else str(error) or type(error).__name__
            self._report(BuildFinished(build=self._build, label=self._label, error=said, seconds=self._seconds))

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._started

    def step(self, number: int, text: str, *, cached: bool = False, seconds: float | None = None) -> None:
        """Tell of one of the two steps that requirements take: they are resolved, then installed."""
        self._is_made |= seconds is not None and not cached
        self._report(BuildStep(build=self._build, number=number, total=2, text=text, cached=cached, seconds=seconds))

    def take(self, progress: Progress) -> None:
        """Pass on what the builder tells."""
        if isinstance(progress, BuildStep):
            self._is_made |= progress.seconds is not None and not progress.cached
        self._report(progress)

    def take_install(self, progress: Progress) -> None:
        """Pass on what the builder tells of our own Dockerfile: how it is written is nobody's business."""
        if not isinstance(progress, BuildStep):
            self._report(progress)
        elif progress.text.startswith("RUN "):
            self.step(
                2,
                f"install {self.packages} package{'s' if self.packages != 1 else ''}",
                cached=progress.cached,
                seconds=progress.seconds,
            )

    def finished(self, image: Image, *, python: tuple[int, int, int] | None) -> Prepared:
        reused = not self._is_made
        digest = str(image.digest)
        self._report(
            BuildFinished(build=self._build, label=self._label, digest=digest, reused=reused, seconds=self._seconds)
        )
        return Prepared(digest=digest, reused=reused, python=python)


def _of_task(error: AirdockError, where: str) -> EnvironmentFailedError:
    """The error with the task's name, and with uv's or the command's own words where it has them."""
    message, hint = error.message, error.hint
    if isinstance(error, StepFailedError) and error.output:
        tail = error.output.splitlines()[-_TAIL_LINES:]
        message = "\n".join([message, *(f"  {line}" for line in tail)])
    place = f"{where}, {error.where}" if error.where else where
    return EnvironmentFailedError(message, where=place, hint=hint)


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
