"""Packages into images: what uv is asked in a container of the base, and the Dockerfile that installs the answer.

Nothing of how it is done stays in the image: uv, its cache, the index settings and the certificates are mounts, and
the variables that point there are seen by the commands only. The image gets one layer with a virtual environment in
`/opt/airdock/env`, and the lock beside it.
"""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from airdock.builder.base import BuildRequest
from airdock.engine import Engine, RunRequest
from airdock.environments.handover import Handover
from airdock.environments.index import IndexSettings
from airdock.environments.python import PROBE, Interpreter
from airdock.environments.temporary import temporary_folder
from airdock.environments.uv import (
    compile_command,
    find_uv,
    needs_build,
    parse_complaint,
    sync_command,
    venv_command,
)
from airdock.errors import CommandNotFoundError, EnvironmentFailedError, NotExecutableError, StepFailedError
from airdock.images.image import Image
from airdock.model.mount import Mount
from airdock.model.progress import Report
from airdock.record import record

__all__ = ["INDEX", "PREFIX", "Installer", "Lock", "probe_python"]

PREFIX: Final = "/opt/airdock/env"
INDEX: Final = "/run/airdock/index"
"""Where commands of a build see the folder of index settings."""
_UV: Final = "/run/airdock/uv"
_CACHE: Final = "/run/airdock/uv-cache"
_TEMPORARY: Final = "tmp"
_WORK: Final = "/run/airdock/work"
_LOCK: Final = "/opt/airdock/requirements.lock"

_BYTE_COMPILE: Final = (f"{PREFIX}/bin/python", "-m", "compileall", "-qq", "-j", "0", "-x", "/tests?/", f"{PREFIX}/lib")
"""What a task wrote is gone with its container, so without bytecode in the image each would compile the same modules:
0.7 s for pandas. Packages' own tests are two thirds of some, and nobody imports them. A file that isn't for this Python
is no reason to fail."""

_DOCKERFILE: Final = """\
FROM {base}
COPY requirements.lock {lock}
RUN {venv} && {sync} && {{ {byte_compile} || true; }}
ENV PATH={prefix}/bin:$PATH VIRTUAL_ENV={prefix}
"""


@record
class Lock:
    """Exact versions as lines of a requirements.txt. `needs_build` says that not all of them come as wheels."""

    text: str
    needs_build: bool


class Installer:
    """Resolves and installs with uv.

    `cache` is uv's cache of wheels; what builds of source distributions write lies apart from it, in a folder beside
    it. `folder` gets folders for as long as a call lasts.
    """

    def __init__(self, *, engine: Engine, folder: Path, cache: Path, index: IndexSettings) -> None:
        self._engine = engine
        self._folder = folder
        self._cache = cache
        self._index = index

    def resolve(self, base: Image, interpreter: Interpreter, requirements: Sequence[str], given: Handover) -> Lock:
        """Exact versions for the requirements on that base.

        Wheels first: reading one runs nobody's code. Only where something has none is its build code run, in the
        container, with a cache that holds nothing of others. EnvironmentFailedError with uv's reason.
        """
        with temporary_folder(self._folder, "work") as work:
            (work / "requirements.in").write_text("".join(f"{line}\n" for line in requirements))
            code, output = self._compile(base, interpreter, work, given, build=False)
            needed = code != 0 and needs_build(output)
            if needed:
                code, output = self._compile(base, interpreter, work, given, build=True)
            if code != 0:
                complaint = parse_complaint(output)
                raise EnvironmentFailedError(complaint.message, hint=complaint.hint)
            return Lock(text=(work / "requirements.lock").read_text(), needs_build=needed)

    def _compile(
        self, base: Image, interpreter: Interpreter, work: Path, given: Handover, *, build: bool
    ) -> tuple[int, str]:
        command = compile_command(
            _UV,
            source=f"{_WORK}/requirements.in",
            output=f"{_WORK}/requirements.lock",
            python=interpreter.path,
            build=build,
            extra=given.compile_options,
        )
        mounts = (*self._mounts(given, build=build), Mount(source=str(work), target=_WORK, read_only=False))
        try:
            return _run(self._engine, base, command, mounts=mounts, env=self._environ(given))
        except (CommandNotFoundError, NotExecutableError) as error:
            raise EnvironmentFailedError(
                "expected a base on which uv runs, found one without the C library that it needs",
                hint="requirements need a base with glibc (Debian, Ubuntu, Fedora), not with musl (Alpine) or none",
            ) from error

    def install(
        self, base: Image, interpreter: Interpreter, lock: Lock, *, build: str, report: Report, given: Handover
    ) -> Image:
        """The base with what the lock says. EnvironmentFailedError with uv's reason."""
        venv = venv_command(_UV, python=interpreter.path, target=PREFIX)
        sync = sync_command(_UV, lock=_LOCK, target=PREFIX, build=lock.needs_build, link_mode="copy")
        text = _DOCKERFILE.format(
            base=base.digest,
            lock=_LOCK,
            prefix=PREFIX,
            venv=shlex.join(venv),
            sync=shlex.join(sync),
            byte_compile=shlex.join(_BYTE_COMPILE),
        )
        with temporary_folder(self._folder, "work") as context:
            (context / "requirements.lock").write_text(lock.text)
            try:
                request = BuildRequest(
                    dockerfile=text,
                    name="requirements",
                    context=context,
                    tags=(f"environment:{build}",),
                    mounts=self._mounts(given, build=lock.needs_build),
                    transient_env=self._environ(given),
                    label=build,
                )
                return self._engine.build(request, report)
            except StepFailedError as error:
                complaint = parse_complaint(error.output or error.message)
                raise EnvironmentFailedError(complaint.message, hint=complaint.hint or error.hint) from error

    def build(self, text: str, *, name: str, context: Path, build: str, report: Report, given: Handover) -> Image:
        """Build a Dockerfile whose commands find the machine's indexes, proxies and certificates, and no more."""
        request = BuildRequest(
            dockerfile=text,
            name=name,
            context=context,
            tags=(f"environment:{build}",),
            mounts=self._index_mounts(given),
            transient_env=given.environ,
            label=build,
        )
        return self._engine.build(request, report)

    def _mounts(self, given: Handover, *, build: bool) -> tuple[Mount, ...]:
        cache = self._cache.with_name(f"{self._cache.name}-source") if build else self._cache
        (cache / _TEMPORARY).mkdir(parents=True, exist_ok=True)
        return (
            Mount(source=str(find_uv()), target=_UV),
            Mount(source=str(cache), target=_CACHE, read_only=False),
            *self._index_mounts(given),
        )

    def _index_mounts(self, given: Handover) -> tuple[Mount, ...]:
        folders = (Mount(source=folder, target=folder) for folder in self._index.folders)
        return (Mount(source=str(given.folder), target=INDEX), *folders)

    def _environ(self, given: Handover) -> dict[str, str]:
        # Temporary files lie in the cache, on its file system, and not in what becomes the layer.
        return {**given.environ, "UV_CACHE_DIR": _CACHE, "TMPDIR": f"{_CACHE}/{_TEMPORARY}"}


def probe_python(engine: Engine, image: Image, name: str) -> Interpreter:
    """The Python of an image that isn't the host's. EnvironmentFailedError where it has none."""
    for program in ("python3", "python"):
        try:
            code, output = _run(engine, image, [program, "-I", "-S", "-c", PROBE], mounts=(), env={})
        except CommandNotFoundError:
            continue
        try:
            if code == 0:
                return Interpreter.parse(output)
        except (ValueError, KeyError, TypeError):
            pass
        raise EnvironmentFailedError(f"expected {program} of {name} to say its version, found: {output.strip()[-300:]}")
    raise EnvironmentFailedError(
        f"expected a Python in the base {name}, found none on its PATH", hint="set environments.base to one that has it"
    )


def _run(
    engine: Engine, image: Image, argv: Sequence[str], *, mounts: Sequence[Mount], env: dict[str, str]
) -> tuple[int, str]:
    """Run a command in a container of the image as its root; its exit code and all that it printed."""
    printed = os.memfd_create("output", os.MFD_CLOEXEC)
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        request = RunRequest(
            entrypoint=argv, env=env, mounts=mounts, user="0:0", workdir="/", image_name="(environment)"
        )
        container = engine.run(image, request, stdin=nothing, stdout=printed, stderr=printed)
        try:
            ended = container.wait()
        finally:
            container.remove()
        assert ended is not None
        os.lseek(printed, 0, os.SEEK_SET)
        with os.fdopen(os.dup(printed), "rb") as file:
            return ended.exit_code, file.read().decode("utf-8", "replace")
    finally:
        os.close(printed)
        os.close(nothing)
