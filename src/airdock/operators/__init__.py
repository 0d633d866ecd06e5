"""Ready-made task kinds, one file each, and all of them by name: only the file that is asked for is imported."""

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from airdock.operators.bash import BashOperator
    from airdock.operators.container import ContainerOperator
    from airdock.operators.empty import EmptyOperator
    from airdock.operators.python import PythonOperator

__all__ = ["BashOperator", "ContainerOperator", "EmptyOperator", "PythonOperator"]

_FILES: Final = {
    "BashOperator": "bash",
    "ContainerOperator": "container",
    "EmptyOperator": "empty",
    "PythonOperator": "python",
}


def __getattr__(name: str) -> Any:
    if name not in _FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # only here, since every task's start reads this file

    return getattr(import_module(f"{__name__}.{_FILES[name]}"), name)
