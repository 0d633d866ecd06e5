"""Answers `import airflow…` with our own modules; a name that isn't there yet says so, and what is near it."""

import os
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import ModuleType
from typing import Any, Final

from airdock.compat.names import MODULES
from airdock.dag.names import nearest

__all__ = ["AirflowNames", "install", "uninstall"]

_ROOTS: Final = ("airflow", "tests_common")
_EXAMPLES: Final = "airflow.example_dags"
"""Modules that Airflow's own examples import from beside them; they are looked for below the folders of DAG files."""
_PACKAGES: Final = frozenset(
    ".".join(parts[:length]) for parts in (name.split(".") for name in MODULES) for length in range(1, len(parts) + 1)
)


class AirflowNames:
    """Finds and makes every module below `airflow`, also where Airflow itself is installed: a task can't have both.

    A finder and loader by its methods: importing the base classes would cost each task 13 ms.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in _ROOTS:
            return None
        if fullname.startswith(_EXAMPLES):
            return _example(fullname, self)
        if fullname not in _PACKAGES:
            raise ModuleNotFoundError(_missing_module(fullname), name=fullname)
        return ModuleSpec(fullname, self, is_package=True)  # type: ignore[arg-type]  # see the class

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _AirflowModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        module.__all__ = sorted(MODULES.get(module.__name__, ()))  # type: ignore[attr-defined]


class _AirflowModule(ModuleType):
    """Resolves its names when they are asked for."""

    def __getattr__(self, name: str) -> Any:
        names = MODULES.get(self.__name__, {})
        if name in names:
            module, _, attribute = names[name].partition(":")
            value = getattr(import_module(module), attribute)
            setattr(self, name, value)
            return value
        if f"{self.__name__}.{name}" in _PACKAGES or (self.__name__.startswith(_EXAMPLES) and name[:1] != "_"):
            return import_module(f"{self.__name__}.{name}")
        if name.startswith("_"):
            raise AttributeError(name)
        raise ImportError(_missing_name(self.__name__, name, names), name=self.__name__)


def _example(fullname: str, loader: AirflowNames) -> ModuleSpec:
    """A module beside the DAG file, or the folder of one. ModuleNotFoundError."""
    inner = fullname.removeprefix(_EXAMPLES).replace(".", "/")
    for folder in sys.path:
        if os.path.isfile(f"{folder}{inner}.py"):  # noqa: PTH113  part of a task's start
            path = f"{folder}{inner}.py"
            spec = ModuleSpec(fullname, SourceFileLoader(fullname, path), origin=path)
            spec.has_location = True
            return spec
        if os.path.isdir(f"{folder}{inner}"):  # noqa: PTH112  as above
            return ModuleSpec(fullname, loader, is_package=True)  # type: ignore[arg-type]  # see the class
    raise ModuleNotFoundError(_missing_module(fullname), name=fullname)


def install() -> None:
    """Let `import airflow…` find our modules. Doing it twice is doing it once."""
    if not any(isinstance(each, AirflowNames) for each in sys.meta_path):
        sys.meta_path.insert(0, AirflowNames())


def uninstall() -> None:
    """Take the names away again, and forget the modules."""
    sys.meta_path[:] = [each for each in sys.meta_path if not isinstance(each, AirflowNames)]
    for name in [each for each in sys.modules if each.partition(".")[0] in _ROOTS]:
        del sys.modules[name]


def _missing_name(module: str, name: str, names: Iterable[str]) -> str:
    near = nearest(name, names)
    elsewhere = [each for each, known in MODULES.items() if name in known]
    known = f"{module} has {', '.join(sorted(names))}" if names else f"{module} has no names of its own"
    hint = near or (f"it is in {elsewhere[0]}" if elsewhere else known)
    return f"Airdock answers for Airflow's imports and has no {module}.{name} yet; {hint}"


def _missing_module(module: str) -> str:
    near = nearest(module, MODULES)
    return f"Airdock answers for Airflow's imports and has no module {module} yet; " + (
        near or "it has " + ", ".join(sorted(MODULES))
    )
