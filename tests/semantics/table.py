"""How runs ended, in the same words for Airflow's and ours, and what of it is kept.

A table maps a DAG's id to its runs, and a run's id to its state, type, dates and tasks, by name and map index.
"""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

__all__ = ["DAGS", "LOGICAL_DATE", "RUN_ID", "TRIGGERED", "Table", "differences", "make_table", "quiet"]

Table = dict[str, dict[str, dict[str, Any]]]

DAGS: Final = Path(__file__).with_name("dags")
RUN_ID: Final = "judged"
LOGICAL_DATE: Final = "2026-01-05T06:07:08+00:00"

TRIGGERED: Final = (
    "trigger_rules",
    "setup_and_teardown.all_work",
    "setup_and_teardown.setup_fails",
    "setup_and_teardown.setup_skips",
    "setup_and_teardown.work_fails",
    "setup_and_teardown.work_skips",
    "two_setups",
    "teardown_fails",
    "teardown_fails_the_run",
    "only_teardown_succeeds",
    "indirect_setup",
    "fail_fast",
    "what_is_raised",
    "exit_codes",
    "retry_policies",
    "sensors",
    "never_sent",
    "branches",
    "short_circuits",
    "latest_only",
    "conditions",
    "groups",
    "skips_go_down",
    "mapped",
    "mapped_groups",
    "templates",
    "native",
    "xcoms",
    "context",
    "params",
    "makes_first",
)
"""The DAGs without a schedule, that get one run each."""


def make_table(runs: Iterable[Any], instances: Iterable[Any], xcoms: Iterable[Any]) -> Table:
    """Of rows: run, state, type, dates; run, task, map index, state, tries, label; run, task, map index, key, value."""
    table: Table = {}
    for (dag_id, run_id), state, run_type, dates in runs:
        table.setdefault(dag_id, {})[run_id] = {"state": state, "type": run_type, "dates": dates, "tasks": {}}
    for (dag_id, run_id), task_id, map_index, state, tries, label in instances:
        row = {"state": state, "tries": tries, "xcoms": {}, **({"label": label} if label else {})}
        table[dag_id][run_id]["tasks"][_name(task_id, map_index)] = row
    for (dag_id, run_id), task_id, map_index, name, value in xcoms:
        table[dag_id][run_id]["tasks"][_name(task_id, map_index)]["xcoms"][name] = value
    return table


def _name(task_id: str, map_index: int) -> str:
    return task_id if map_index < 0 else f"{task_id}[{map_index}]"


def quiet(look: Callable[[], object], quiet_s: float) -> Callable[[], bool]:
    """Says whether what is seen has been the same for so long; None never is. Some runs aren't to end."""
    seen, since = look(), time.monotonic()

    def is_quiet() -> bool:
        nonlocal seen, since
        found = look()
        if found is None or found != seen:
            seen, since = found, time.monotonic()
        return time.monotonic() - since > quiet_s

    return is_quiet


def differences(expected: dict[str, dict[str, Any]], found: dict[str, dict[str, Any]]) -> list[str]:
    """Of one DAG's runs, a line for each thing that differs."""
    lines = []
    for run_id in sorted(expected.keys() | found.keys()):
        if run_id not in expected or run_id not in found:
            lines.append(f"{run_id}: {'not expected' if run_id in found else 'expected, and not there'}")
            continue
        lines += [f"{run_id}: {each}" for each in _of_mappings(expected[run_id], found[run_id])]
    return lines


def _of_mappings(expected: dict[str, Any], found: dict[str, Any]) -> list[str]:
    lines = []
    for name in sorted(expected.keys() | found.keys()):
        one, other = expected.get(name), found.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            lines += [f"{name} {each}" for each in _of_mappings(one, other)]
        elif one != other:
            lines.append(f"{name}: expected {one!r}, found {other!r}")
    return lines
