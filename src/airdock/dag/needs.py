"""What a task says it needs, checked and read: image, dockerfile, requirements, python, memory, cpus."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from airdock.errors import DagError
from airdock.model.environment import Environment
from airdock.model.usage import Resources

__all__ = ["parse_memory", "read_environment", "read_resources"]

_UNITS: Final = {"": 1, "B": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4,
                 "KI": 1024, "MI": 1024**2, "GI": 1024**3, "TI": 1024**4}  # fmt: skip
_MEMORY: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]I?|)B?", re.IGNORECASE)
_PYTHON: Final = re.compile(r"3\.\d{1,2}(\.\d{1,3})?")


def read_environment(needs: Mapping[str, Any], *, dag_file: Path, where: str) -> Environment:
    """The environment; DagError when more than one of image, dockerfile and requirements is given, or one is wrong."""
    given = [name for name in ("image", "dockerfile", "requirements") if needs[name] is not None]
    if len(given) > 1:
        raise DagError(f"expected one of image, dockerfile and requirements, found {' and '.join(given)}", where=where,
                       hint="write a Dockerfile that is FROM the image and installs the requirements")  # fmt: skip
    python = needs["python"]
    if python is not None and (not isinstance(python, str) or not _PYTHON.fullmatch(python)):
        raise DagError(f'expected python to be a version like "3.9", found {python!r}', where=where)
    if python is not None and ("image" in given or "dockerfile" in given):
        raise DagError(f"python={python!r} has no effect with {given[0]}", where=where,
                       hint="the image brings its own Python; leave python out")  # fmt: skip
    return Environment(
        image=_image(needs["image"], where),
        dockerfile=_dockerfile(needs["dockerfile"], dag_file.parent, where),
        requirements=_requirements(needs["requirements"], dag_file.parent, where),
        python=python,
    )


def read_resources(needs: Mapping[str, Any], *, where: str) -> Resources:
    """Memory and processors asked for."""
    cpus = needs["cpus"]
    if cpus is not None and (isinstance(cpus, bool) or not isinstance(cpus, int | float) or cpus <= 0):
        raise DagError(f"expected cpus to be a number above 0, like 1.5, found {cpus!r}", where=where)
    memory = None if needs["memory"] is None else parse_memory(needs["memory"], where=where)
    return Resources(memory_bytes=memory, cpus=None if cpus is None else float(cpus))


def parse_memory(value: Any, *, where: str = "") -> int:
    """Bytes, from a number of bytes or from text: "512MB" is 512,000,000, "512Mi" and "512MiB" are 536,870,912."""
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    match = _MEMORY.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or float(match[1]) == 0:
        raise DagError(f'expected memory to be like "512MB", "2GiB" or a number of bytes, found {value!r}', where=where)
    return int(float(match[1]) * _UNITS[match[2].upper()])


def _image(value: Any, where: str) -> str | None:
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise DagError(f"expected image to be the name of an image, found {value!r}", where=where)
    return value


def _dockerfile(value: Any, folder: Path, where: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str | Path):
        raise DagError(f"expected dockerfile to be a path, found {value!r}", where=where)
    path = (folder / value).resolve()
    if path.is_dir():
        path = path / "Dockerfile"
    if not path.is_file():
        raise DagError(f"there is no Dockerfile at {path}", where=where,
                       hint=f"dockerfile is relative to the DAG file's folder, {folder}")  # fmt: skip
    return str(path)


def _requirements(value: Any, folder: Path, where: str) -> tuple[str, ...] | None:
    if value is None:
        return None
    if isinstance(value, str | Path):
        return _requirements_file(value, folder, where)
    if not isinstance(value, list | tuple) or not all(isinstance(line, str) for line in value):
        raise DagError(
            f"expected requirements to be a list like ['pandas==2.2.3'] or the path of a requirements file, "
            f"found {value!r}", where=where)  # fmt: skip
    return tuple(line.strip() for line in value if line.strip())


def _requirements_file(value: str | Path, folder: Path, where: str) -> tuple[str, ...]:
    path = folder / value
    if not path.is_file():
        hint = f"a single requirement is written in a list: [{str(value)!r}]" if path.suffix != ".txt" else ""
        raise DagError(f"there is no requirements file at {path}", where=where, hint=hint)
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in path.read_text(encoding="utf-8").splitlines())
    return tuple(line for line in lines if line)
