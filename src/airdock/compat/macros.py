"""Airflow's macros as functions that can be imported: those that a task's templates have."""

from importlib import import_module
from typing import Any, Final

__all__ = ["datetime_diff_for_humans", "ds_add", "ds_format", "ds_format_locale"]

_MACROS: Final[Any] = import_module("airdock.runner.inside.accessors").Macros
"""They live with the runner, which has them in every image. Beside this folder, so they are plugged in by name."""

ds_add: Final = _MACROS.ds_add
ds_format: Final = _MACROS.ds_format
ds_format_locale: Final = _MACROS.ds_format_locale
datetime_diff_for_humans: Final = _MACROS.datetime_diff_for_humans
