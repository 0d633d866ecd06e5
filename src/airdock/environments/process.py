"""Environments for machines that forbid containers: virtual environments on the machine itself.

AIRDOCK_HOME/cache/process/<key>/
    ready     says that everything is in it; JSON with its Python's version
    …         a virtual environment

Requirements are resolved and installed by uv on the machine itself, builds of source distributions included: whoever
chooses isolation "process" trusts what the tasks are made of.
"""

import hashlib
import json
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from airdock.environments.base import Prepared
from airdock.environments.handover import Handover, hand_over
from airdock.environments.index import IndexSettings
from airdock.environments.once import Once, hold_lock
from airdock.environments.python import Interpreter, Pythons
from airdock.environments.requirements import normalise
from airdock.environments.uv import compile_command, find_uv, parse_complaint, sync_command, venv_command
from airdock.errors import AirdockError, EnvironmentFailedError
from airdock.files import save_json
from airdock.model.environment import Environment
from airdock.model.progress import BuildFinished, BuildOutput, BuildStarted, Report

__all__ = ["ProcessEnvironments"]

_FORMAT: Final = 1


class ProcessEnvironments:
    """Makes virtual environments in `folder`. `cache` is uv's; `environ` is what uv sees of our environment."""

    def __init__(
        self,
        *,
        folder: Path,
        cache: Path,
        pythons: Pythons,
        index: IndexSettings,
        report: Report,
        environ: Mapping[str, str],
    ) -> None:
        self._folder = folder
        self._cache = cache
        self._pythons = pythons
        self._index = index
        self._report = report
        self._environ = environ
        self._once: Once[Prepared] = Once()

    def prepare(self, environment: Environment, *, where: str, dag_folder: Path | None = None) -> Prepared:
        """As `base.Environments` says. Images are refused."""
        try:
            return self._prepare(environment)
        except AirdockError as error:
            place = f"{where}, {error.where}" if error.where else where
            raise EnvironmentFailedError(error.message, where=place, hint=error.hint) from error

    def _prepare(self, environment: Environment) -> Prepared:
        if environment.image is not None or environment.dockerfile is not None:
            asked = "image" if environment.image is not None else "dockerfile"
            raise EnvironmentFailedError(
                f"expected a task that runs without a container, found {asked}={environment.label!r}",
                hint="images need containers: leave out --isolation process; airdock doctor says what they lack here",
            )
        requirements = normalise(environment.requirements or ())
        if environment.python is None and not requirements:
            return Prepared(digest="process:host", reused=True, python=Interpreter.current().version)
        interpreter = Interpreter.current() if environment.python is None else self._pythons.find(environment.python)
        key = _key(interpreter, requirements, self._index.fingerprint)
        return self._once.get(key, lambda: self._make(key, interpreter, requirements, environment.label))

    def _make(self, key: str, interpreter: Interpreter, requirements: Sequence[str], label: str) -> Prepared:
        target = self._folder / key
        prepared = Prepared(digest=f"process:{key}", reused=True, python=interpreter.version)
        with hold_lock(self._folder / f"{key}.lock"):
            if (target / "ready").exists():
                (target / "ready").touch()  # what nobody uses for long is removed
                self._report(BuildFinished(build=key, label=label, digest=prepared.digest, reused=True))
                return prepared
            started = time.monotonic()
            self._report(BuildStarted(build=key, label=label))
            try:
                self._install(key, interpreter, requirements)
            except BaseException as error:
                shutil.rmtree(target, ignore_errors=True)
                self._report(BuildFinished(build=key, label=label, error=str(error)))
                raise
            save_json(target / "ready", {"python": interpreter.version}, durable=False)
            seconds = time.monotonic() - started
            self._report(BuildFinished(build=key, label=label, digest=prepared.digest, seconds=seconds))
            return Prepared(digest=prepared.digest, reused=False, python=interpreter.version)

    def _install(self, key: str, interpreter: Interpreter, requirements: Sequence[str]) -> None:
        uv, target = str(find_uv()), self._folder / key
        shutil.rmtree(target, ignore_errors=True)  # what a killed process left half done
        with hand_over(self._index, self._folder) as given:
            self._uv(key, venv_command(uv, python=interpreter.path, target=str(target)), given)
            if not requirements:
                return
            source, lock = target / "requirements.in", target / "requirements.lock"
            source.write_text("".join(f"{line}\n" for line in requirements))
            resolve = compile_command(
                uv,
                source=str(source),
                output=str(lock),
                python=f"{target}/bin/python",
                build=True,
                extra=given.compile_options,
            )
            self._uv(key, resolve, given)
            sync = sync_command(uv, lock=str(lock), target=str(target), build=True, link_mode="hardlink")
            self._uv(key, sync, given)

    def _uv(self, key: str, command: Sequence[str], given: Handover) -> None:
        environ = {**self._environ, **given.environ, "UV_CACHE_DIR": str(self._cache)}
        process = subprocess.Popen(
            command, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        with process:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line)
                self._report(BuildOutput(build=key, line=line.rstrip()))
        if process.returncode != 0:
            complaint = parse_complaint("".join(lines))
            raise EnvironmentFailedError(complaint.message, hint=complaint.hint)


def _key(interpreter: Interpreter, requirements: Sequence[str], settings: str) -> str:
    """Names an environment; an interpreter that was replaced by another of its version makes another one."""
    status = Path(interpreter.path).stat()
    said: list[Any] = [_FORMAT, interpreter.to_dict(), status.st_ino, status.st_mtime_ns, list(requirements), settings]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]
