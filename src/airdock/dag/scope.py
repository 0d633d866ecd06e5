"""What is being written: the stacks of open `with` blocks (DAGs, groups, setups), and what a file defined so far."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airdock.dag.dag import DAG
    from airdock.dag.node import Node
    from airdock.dag.task_group import TaskGroup

__all__ = [
    "collect",
    "collected",
    "current_dag",
    "current_group",
    "enter_dag",
    "enter_group",
    "leave_dag",
    "leave_group",
    "stop_collecting",
    "take_registered",
]

# Airflow's authoring API has no object to hang this on: `with DAG(…):` speaks to whatever operator is made inside.
_open: list["DAG"] = []
_groups: list["TaskGroup"] = []
_collecting: list[list["Node"]] = []
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


def current_group(dag: "DAG | None") -> "TaskGroup | None":
    """The innermost group whose block is open, if it is one of this DAG."""
    return _groups[-1] if _groups and _groups[-1].dag is dag else None


def enter_group(group: "TaskGroup") -> None:
    """Open the block of a group; from here on new tasks of its DAG are in it."""
    _groups.append(group)
    _open.append(group.dag)


def leave_group() -> None:
    """Close the innermost group's block."""
    _groups.pop()
    _open.pop()


def collect() -> list["Node"]:
    """A list that gets every task that is made until `stop_collecting`."""
    _collecting.append([])
    return _collecting[-1]


def collected(task: "Node") -> None:
    """Tell the lists of all open blocks that a task was made."""
    for each in _collecting:
        each.append(task)


def stop_collecting() -> None:
    """Close the list that was opened last."""
    _collecting.pop()


def take_registered() -> list["DAG"]:
    """The DAGs whose block was opened since the last call, in that order. Also closes blocks left open by an error."""
    found = list(_registered)
    for stack in (_registered, _open, _groups, _collecting):
        stack.clear()
    return found
