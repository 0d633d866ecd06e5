"""`airdock dags list|show`."""

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from airdock.cli.dag_target import find_dag, is_utf8, kind_of, mapped_mark
from airdock.cli.errors import render_error, tell
from airdock.cli.graph import ASCII_LINES, UNICODE_LINES, Node, render_graph
from airdock.cli.names import complete_dags
from airdock.cli.session import Session, pass_session
from airdock.cli.tables import Column, fit, render_table
from airdock.scheduler.expand import find_sources

if TYPE_CHECKING:
    from airdock.dag.serialized import SerializedDag, SerializedTask
    from airdock.errors import AirdockError

__all__ = ["list_dags", "show"]

_COLUMNS = (Column("DAG"), Column("SCHEDULE"), Column("TASKS", right=True), Column("TAGS"), Column("FILE"))
_CELLS = 40
_PIPED_CELLS = 120
"""How wide a picture may be where no terminal says it."""


@click.command("list")
@click.argument("folder", required=False, type=click.Path(exists=True, path_type=Path))
@click.option("--tag", metavar="TAG", help="Only DAGs with this tag.")
@click.option("--json", "as_json", is_flag=True, help="A JSON array.")
@pass_session
def list_dags(session: Session, /, folder: Path | None, *, tag: str | None, as_json: bool) -> None:
    """List DAGs by name: those that a scheduler has loaded, or that ran; or those that the files of FOLDER define.

    Files that can't be loaded are told beside it, and make the exit code 1; airdock dags import says more.

    \b
    Examples:
      airdock dags list
      airdock dags list dags/ --tag nightly
      airdock dags list dags/ --json | jq -r '.[].dag_id'
    """
    broken: dict[str, AirdockError] = {}
    with session.app() as app:
        if folder is None:
            found = app.orchestrator.dags()
        else:
            app.open()
            found = []
            for path, loaded in app.loads.load_folder(folder):
                if isinstance(loaded, list):
                    found += loaded
                else:
                    broken[str(path)] = loaded
    rows = sorted((dag for dag in found if tag is None or tag in dag.tags), key=lambda dag: dag.dag_id)
    if as_json:
        click.echo(json.dumps([_summary(dag) for dag in rows], indent=2))
    else:
        click.echo(render_table(_COLUMNS, [_cells(dag) for dag in rows]))
        if not rows and not broken:
            tell("there is no such DAG\n  do: airdock dags list FOLDER, or airdock scheduler, which serves a folder")
    _tell_broken(broken)


def _tell_broken(broken: "dict[str, AirdockError]") -> None:
    for error in broken.values():
        tell(render_error(error))
    if broken:
        click.get_current_context().exit(1)


def _cells(dag: "SerializedDag") -> list[str]:
    tags = fit(", ".join(dag.tags), _CELLS)
    return [dag.dag_id, fit(dag.schedule or "by hand", _CELLS), str(len(dag.tasks)), tags, dag.fileloc]


@click.command()
@click.argument("target", metavar="FILE[:DAG_ID]|DAG_ID", shell_complete=complete_dags)
@click.option("--ascii", "as_ascii", is_flag=True, help="Lines of plain letters.")
@click.option("--json", "as_json", is_flag=True, help="Tasks, edges and groups as a JSON object.")
@pass_session
def show(session: Session, /, target: str, *, as_ascii: bool, as_json: bool) -> None:
    """Draw the graph of a DAG: each task right of all it waits for.

    Mapped tasks, and those in a mapped group, show how many they are, as in square [3]; [*] is known only in a run.
    In a mapped group each index waits for itself alone, and what comes after the group for all of them. Where the
    graph is wider than the terminal, its lines stand beside a list instead.

    \b
    Examples:
      airdock dags show etl.py
      airdock dags show etl.py:nightly --ascii
      airdock dags show nightly --json
    """
    with session.app() as app:
        dag = find_dag(app, target)
    if as_json:
        click.echo(json.dumps(_document(dag), indent=2))
        return
    lines = ASCII_LINES if as_ascii or not is_utf8() else UNICODE_LINES
    cells = shutil.get_terminal_size().columns if sys.stdout.isatty() else _PIPED_CELLS
    click.echo("\n".join(_picture(dag, cells, lines is ASCII_LINES)))


def _picture(dag: "SerializedDag", cells: int, is_ascii: bool) -> list[str]:
    count = f"{len(dag.tasks)} task" + ("" if len(dag.tasks) == 1 else "s")
    head = f"{click.style(dag.dag_id, bold=True)}   {count}, {dag.schedule or 'run by hand'}"
    about = [fit(dag.doc.strip().splitlines()[0], cells)] if dag.doc.strip() else []
    nodes = [Node(id=task.task_id, label=_label(dag, task), upstream=task.upstream) for task in dag.tasks]
    graph = render_graph(nodes, cells=cells, lines=ASCII_LINES if is_ascii else UNICODE_LINES)
    return [head, *about, "", *graph, *_groups(dag), *_edges(dag)]


def _label(dag: "SerializedDag", task: "SerializedTask") -> str:
    kind = kind_of(task)
    return " ".join(filter(None, (task.task_id, mapped_mark(dag.expansion(task)), f"({kind})" if kind else "")))


def _groups(dag: "SerializedDag") -> list[str]:
    inside: dict[str, list[str]] = {name: [] for name in dag.groups}
    for task in dag.tasks:
        if task.group:
            inside[task.group].append(task.task_id)
    for name, group in dag.groups.items():
        if parent := group.get("parent"):
            inside[parent].append(name)
    lines = [f"  {name}{_mapping(dag.groups[name])}: {', '.join(each)}" for name, each in inside.items() if each]
    return ["", "groups", *lines] if lines else []


def _mapping(group: Mapping[str, Any]) -> str:
    """Of a mapped group how many there are of it, and over whose results."""
    expand = group.get("expand")
    if not expand:
        return ""
    sources = dict.fromkeys(each for part in expand.values() for each in find_sources(part))
    return f" {mapped_mark(expand)}" + (f" over {', '.join(sources)}" if sources else "")


def _edges(dag: "SerializedDag") -> list[str]:
    lines = [f"  {up} to {down}: {text}" for up, down, text in dag.labels]
    return ["", "labels", *lines] if lines else []


def _summary(dag: "SerializedDag") -> dict[str, Any]:
    return {
        "dag_id": dag.dag_id,
        "schedule": dag.schedule,
        "tags": list(dag.tags),
        "tasks": [task.task_id for task in dag.tasks],
        "fileloc": dag.fileloc,
    }


def _document(dag: "SerializedDag") -> dict[str, Any]:
    return {
        **_summary(dag),
        "doc": dag.doc,
        "tasks": [
            {
                "task_id": task.task_id,
                "operator": task.operator,
                "upstream": list(task.upstream),
                "trigger_rule": task.trigger_rule,
                "group": task.group,
                "is_mapped": task.is_mapped,
                "map_group": task.map_group,
                "is_setup": task.is_setup,
                "is_teardown": task.is_teardown,
                "environment": task.environment.label,
            }
            for task in dag.tasks
        ],
        "groups": {name: dict(group) for name, group in dag.groups.items()},
        "labels": [list(label) for label in dag.labels],
    }
