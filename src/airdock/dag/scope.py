"""Which DAG is being written: the stack of open `with DAG(…)` blocks, and what a file has defined so far."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airdock.dag.dag import DAG

__all__ = ["current_dag", "enter_dag", "leave_dag", "take_registered"]

# Airflow's authoring API has no object to hang this on: `with DAG(…):` speaks to whatever operator is made inside.
_open: list["DAG"] = []
_registered: list["DAG"] = []


def current_dag() -> "DAG | None":
    """The innermost DAG whose block is open."""
    return _open[-1] if _open else None


def enter_dag(dag: "DAG") -> None:
    """Open the block of a DAG; from here on new tasks are its tasks."""
    _open.append(dag)
    if dag.auto_register and not any(dag is each for each in _registered):
        _registered.append(dag)


def leave_dag() -> None:
    """Close the innermost block."""
    _open.pop()


def take_registered() -> list["DAG"]:
    """The DAGs whose block was opened since the last call, in that order. Also closes blocks left open by an error."""
    found = list(_registered)
    _registered.clear()
    _open.clear()
    return found
