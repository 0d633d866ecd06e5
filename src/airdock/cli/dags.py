"""`airdock dags`: what DAGs there are, how they look, and whether they work."""

from typing import Final

from airdock.cli.lazy import LazyGroup

__all__ = ["dags"]

_COMMANDS: Final = {
    "list": ("airdock.cli.dags_look:list_dags", "List DAGs: those that are served or ran, or those of a folder."),
    "show": ("airdock.cli.dags_look:show", "Draw the graph of a DAG."),
    "details": ("airdock.cli.dags_hand:details", "Say what a DAG says of itself."),
    "pause": ("airdock.cli.dags_hand:pause", "Let DAGs begin no runs."),
    "unpause": ("airdock.cli.dags_hand:unpause", "Let DAGs that were paused begin runs again."),
    "backfill": ("airdock.cli.dags_hand:backfill", "Make the runs of past dates."),
    "import-errors": ("airdock.cli.dags_hand:import_errors", "List the files that can't be loaded, and why."),
    "delete": ("airdock.cli.dags_hand:delete", "Remove a DAG with all its runs."),
    "trigger": ("airdock.cli.dags_trigger:trigger", "Make a run of a DAG, which a scheduler works on."),
    "test": ("airdock.cli.dags_test:test", "Run a DAG once in the foreground, for a date."),
    "report": ("airdock.cli.dags_report:report", "Say what each file of a folder defines, and how long it takes."),
    "import": ("airdock.cli.dags_import:import_dags", "Say what of a folder of Airflow's DAG files works here."),
}

dags = LazyGroup("dags", lazy=_COMMANDS, help="Look at DAGs and try them.", short_help="Look at DAGs and try them.")
