"""`airdock dags import`: a report for people who move, on what of their DAG files works here and what to change."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from airdock.cli.session import Session, pass_session
from airdock.cli.survey import Survey, survey
from airdock.cli.words import paint, printable
from airdock.model.states import TaskState
from airdock.record import record

if TYPE_CHECKING:
    from airdock.dag.serialized import SerializedDag
    from airdock.errors import AirdockError

__all__ = ["FileReport", "import_dags", "make_report", "render_report"]

_NO_EFFECT: Final = "has no effect yet"


@record
class FileReport:
    """What is to be said of one file.

    `dags` has the tasks of each DAG. `notes` are arguments without effect, `suggestions` what each task could ask for.
    """

    path: str
    dags: "dict[str, list[str]]"
    error: "AirdockError | None" = None
    notes: tuple[str, ...] = ()
    suggestions: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            "file": self.path,
            "loads": self.error is None,
            "dags": self.dags,
            "error": self.error.to_dict() if self.error else None,
            "without_effect": list(self.notes),
            "suggestions": list(self.suggestions),
        }


@click.command("import")
@click.argument("folder", metavar="FOLDER|FILE", type=click.Path(exists=True, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object per file, each as soon as it is known.")
@pass_session
def import_dags(session: Session, /, folder: Path, *, as_json: bool) -> None:
    """Say for each of Airflow's DAG files below FOLDER whether it works here, and what to change where it doesn't.

    Of a file that loads: which arguments are kept but have no effect, and which packages its tasks import and so could
    ask for. Nothing is written or run but the files themselves, each in a container. The exit code is 1 where a file
    can't be loaded.

    \b
    Examples:
      airdock dags import ~/airflow/dags
      airdock dags import ~/airflow/dags --json | jq -r 'select(.loads | not) | .file'
    """
    told: dict[Path, list[str]] = {}
    counts = {True: 0, False: 0}
    with session.app() as app:
        app.open()
        for path, loaded in app.loads.load_folder(
            folder, tell=lambda path, line: told.setdefault(path, []).append(line)
        ):
            report = make_report(path, loaded, told.pop(path, []))
            counts[report.error is None] += 1
            click.echo(json.dumps(report.to_dict()) if as_json else render_report(report))
    if not as_json:
        click.echo(_sum(counts))
    click.get_current_context().exit(1 if counts[False] else 0)


def make_report(path: Path, loaded: "list[SerializedDag] | AirdockError", told: list[str]) -> FileReport:
    """The report on one file, from what came of loading it and from its text."""
    local = frozenset(each.name.partition(".")[0] for each in path.parent.iterdir())
    try:
        found = survey(path.read_text(encoding="utf-8", errors="replace"), local=local)
    except (SyntaxError, ValueError):
        found = Survey(tasks={}, top={})
    notes = tuple(dict.fromkeys(line for line in told if _NO_EFFECT in line))
    if not isinstance(loaded, list):
        return FileReport(path=str(path), dags={}, error=loaded, notes=notes, suggestions=_suggest(found, set()))
    needing = {task.task_id.rpartition(".")[2] for dag in loaded for task in dag.tasks if not task.environment.is_host}
    dags = {dag.dag_id: [task.task_id for task in dag.tasks] for dag in loaded}
    return FileReport(path=str(path), dags=dags, notes=notes, suggestions=_suggest(found, needing))


def _suggest(found: Survey, needing: set[str]) -> tuple[str, ...]:
    """What tasks could ask for that ask for nothing yet."""
    return tuple(
        f"{name} imports {', '.join(packages)}: give it requirements={json.dumps(list(packages))}"
        for name, packages in found.tasks.items()
        if name not in needing
    )


def render_report(report: FileReport) -> str:
    """The report in lines: the verdict and the file first."""
    if report.error:
        head = f"{paint('no', TaskState.FAILED)}    {report.path}"
        error = report.error
        lines = [f"      {printable(line)}" for line in error.message.splitlines()]
        lines += [f"      where: {error.where}"] if error.where and error.where != report.path else []
        lines += [f"      do: {error.hint}"] if error.hint else []
    else:
        head = f"{paint('loads', TaskState.SUCCESS)} {report.path}"
        lines = [
            f"      {name}: {len(tasks)} task{'' if len(tasks) == 1 else 's'}" for name, tasks in report.dags.items()
        ]
    lines += [f"      note: {printable(note)}" for note in report.notes]
    lines += [f"      could: {each}" for each in report.suggestions]
    return "\n".join([head, *lines])


def _sum(counts: dict[bool, int]) -> str:
    total = sum(counts.values())
    if not total:
        return 'no DAG files: one ends in .py and has "dag" and "airflow" or "airdock" in its text'
    return f"\n{counts[True]} of {total} files load"
