"""What plugins add: the modules of a `plugins` folder beside the DAG file, imported when a macro of one is asked for.

Timetables and weight strategies of plugins need no registration: DAG files import the classes, and the folder can be
imported from. Listeners, links and pages of plugins have no effect.
"""

import os
import sys
from importlib import import_module
from types import SimpleNamespace
from typing import Any, Final

from airdock.compat.legacy import AirflowPlugin

__all__ = ["find_macros", "load_plugins"]

_FOLDER: Final = "/plugins"
_loaded: set[str] = set()


def find_macros(name: str) -> Any:
    """The macros of the plugin of that name, as attributes; None where there is no such plugin."""
    load_plugins()
    for plugin in AirflowPlugin.known:
        if plugin.name == name:
            return SimpleNamespace(**{_name(macro): macro for macro in plugin.macros})
    return None


def load_plugins() -> None:
    """Import every module of the plugins folders that can be imported from, once.

    One that can't be imported is told on standard error: the others go on, and so does the task.
    """
    for folder in [each for each in sys.path if each.endswith(_FOLDER)]:
        for name in _modules(folder):
            path = f"{folder}/{name}"
            if path in _loaded:
                continue
            _loaded.add(path)
            try:
                import_module(name)
            except Exception as error:  # a plugin's top may do anything
                sys.stderr.write(f"plugin {path} can't be imported: {type(error).__name__}: {error}\n")


def _modules(folder: str) -> list[str]:
    with os.scandir(folder) as entries:
        found = [_module(each) for each in entries]
    return sorted(name for name in found if name.isidentifier())


def _module(entry: "os.DirEntry[str]") -> str:
    if entry.is_dir():
        return entry.name if os.path.isfile(f"{entry.path}/__init__.py") else ""  # noqa: PTH113  part of a task
    return entry.name.removesuffix(".py") if entry.name.endswith(".py") else ""


def _name(macro: Any) -> str:
    return str(getattr(macro, "__name__", type(macro).__name__))
