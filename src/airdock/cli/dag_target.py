"""Which DAG a command is about: a file, a file and an id, or the id of one that is served or ran."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airdock.cli.run import parse_target

if TYPE_CHECKING:
    from airdock.app import App
    from airdock.dag.serialized import SerializedDag, SerializedTask

__all__ = ["find_dag", "is_utf8", "kind_of", "mapped_mark"]


def find_dag(app: "App", text: str) -> "SerializedDag":
    """The DAG of `FILE`, `FILE:DAG_ID` or `DAG_ID`; a file is loaded, an id is looked up."""
    path, dag_id = parse_target(text)
    if path.exists() or path.suffix == ".py" or os.sep in text:
        app.open()
        return app.loads.load_one(Path(path), dag_id)
    return app.orchestrator.find_dag(text)


def mapped_mark(expand: Mapping[str, Mapping[str, Any]] | None) -> str:
    """How many there are of what is expanded over this: "[3]", "[*]" where only a run knows; "" where there is one."""
    if expand is None:
        return ""
    length = 1
    for part in expand.values():
        if "length" not in part:
            return "[*]"
        length *= int(part["length"])
    return f"[{length}]"


def kind_of(task: "SerializedTask") -> str:
    """What sets a task apart, in a few words: setup, teardown, its trigger rule."""
    words = ("setup" if task.is_setup else "", "teardown" if task.is_teardown else "")
    rule = task.trigger_rule if task.trigger_rule != "all_success" and not task.is_teardown else ""
    return ", ".join(filter(None, (*words, rule)))


def is_utf8() -> bool:
    """Whether standard output takes more than ASCII."""
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
