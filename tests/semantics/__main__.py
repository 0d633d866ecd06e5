"""The same DAG files in Airflow and here: `make semantics` prints what ends otherwise.

`python -m tests.semantics FOLDER` installs Airflow below FOLDER, for another time. It takes some six minutes, so `make
test` leaves it out. What is known to differ is printed with its reason, and anything else ends the command with 1.
"""

import re
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from tests.semantics.peer import ask_airflow
from tests.semantics.served import serve
from tests.semantics.table import Table, differences

_KNOWN: Final = {
    r"(branches|short_circuits) .* xcoms return_value: expected None": "Airflow keeps no return value of what skips",
    r"mapped_groups judged: tasks (branching\.(large\[0\]|small\[1\])|short\.(next|then)\[0\]) state: expected"
    r" 'success', found 'skipped'": "Airflow 3 skips nothing within a mapped group; here it does as in Airflow 2",
    r"dates .* before xcoms return_value": "Airflow 3 gives all runs' values; here as in Airflow 2",
    r"xcoms judged: tasks kinds_found": "XComs are JSON here: a tuple is a list",
    r"(cron|delta)_looks_back .* tasks empty: expected None": "Airflow leaves out tasks of a run whose interval begins"
    " before the DAG does",
    r"trigger_rules judged: tasks all_success.skipped.upstream_failed": "whichever of the two is seen first decides",
    r"task_dates .*: expected None, found {'state': 'removed'": "what is outside of its dates is told to be removed",
    r"task_dates .*(state: expected 'failed', found 'success'|tasks below state:)": "what is below it goes on here;"
    " Airflow's run ends in a deadlock",
    r"fail_fast judged: tasks runs": "Airflow lets what runs go on; its docs say that it fails",
    r"latest_only judged: tasks latest xcoms return_value": "the ids are in the order of the file here",
    r"templates judged: tasks (arithmetic|interval) ": "the REST API gives the logical date, as here; its"
    " Python client the time of triggering",
    r"templates judged: tasks humans ": "Airflow compares no time without a zone",
    r"templates judged: tasks none ": "Airflow has no expanded_ti_count in a task that isn't mapped",
    r"templates judged: tasks run xcoms": "Airflow's run type prints as DagRunType.MANUAL",
    r"xcoms judged: tasks pulls xcoms return_value default": "Airflow 3 gives none; here as in Airflow 2",
}
"""What differs, as a pattern of the line, and why."""


def main(folder: Path) -> int:
    expected = plain(ask_airflow(folder))
    with tempfile.TemporaryDirectory(prefix="airdock-semantics-") as home:
        found = plain(serve(Path(home)))
    _excuse_unsent(expected, found)
    lines = [f"{dag_id} {line}" for dag_id in expected for line in differences(expected[dag_id], found.get(dag_id, {}))]
    known = {line: why for line in lines for pattern, why in _KNOWN.items() if re.match(pattern, line)}
    for line in lines:
        sys.stdout.write(f"known   {line}  # {known[line]}\n" if line in known else f"DIFFERS {line}\n")
    runs = sum(len(each) for each in expected.values())
    tasks = sum(len(run["tasks"]) for each in expected.values() for run in each.values())
    wrong = len(lines) - len(known)
    sys.stdout.write(
        f"{len(expected)} DAGs, {runs} runs, {tasks} task instances: {wrong} differ, {len(known)} as known\n"
    )
    return 1 if wrong else 0


def plain(table: Table) -> Table:
    """Without what two runs of one program don't have alike either."""
    found: Table = {}
    for dag_id, runs in table.items():
        numbers: dict[str, int] = {}
        for run_id, run in sorted(runs.items()):
            name = run_id
            if run["type"] == "asset_triggered":
                numbers[run["type"]] = numbers.get(run["type"], 0) + 1
                name = f"{run['type']} {numbers[run['type']]}"
            dates = run["dates"] if run["type"] == "scheduled" else []
            tasks = {task: _plain_task(row) for task, row in run["tasks"].items()}
            found.setdefault(dag_id, {})[name] = {**run, "dates": dates, "tasks": tasks}
    return found


def _excuse_unsent(expected: Table, found: Table) -> None:
    """What was never sent to an executor has no try here, and is told to have had one in Airflow."""
    for dag_id, runs in found.items():
        for run_id, run in runs.items():
            for task, row in run["tasks"].items():
                other = expected.get(dag_id, {}).get(run_id, {}).get("tasks", {}).get(task)
                if other is not None and not row["tries"] and other["tries"] <= 1:
                    other["tries"] = row["tries"]


def _plain_task(row: dict[str, Any]) -> dict[str, Any]:
    row = {**row, "xcoms": {name: _plain_value(value) for name, value in row.get("xcoms", {}).items()}}
    for decided in row["xcoms"].get("skipmixin_key", {}).values():
        decided.sort()
    return row


def _plain_value(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get("__classname__") == "builtins.tuple":
            return [_plain_value(each) for each in value["__data__"]]
        return {name: _plain_value(each) for name, each in value.items()}
    return [_plain_value(each) for each in value] if isinstance(value, list) else value


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="airdock-airflow-") as scratch:
        sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else scratch)))
