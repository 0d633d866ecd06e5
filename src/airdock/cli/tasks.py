"""`airdock tasks`: how the tasks of a run stand, what they wait for, and what they printed."""

from typing import Final

from airdock.cli.lazy import LazyGroup

__all__ = ["tasks"]

_COMMANDS: Final = {
    "list": ("airdock.cli.tasks_look:list_tasks", "List the tasks of a DAG."),
    "states": ("airdock.cli.tasks_look:states", "Say how the tasks of a run stand, and what each waits for."),
    "logs": ("airdock.cli.tasks_logs:logs", "Print what a task printed, also while it runs."),
    "clear": ("airdock.cli.tasks_hand:clear", "Let tasks of a run begin anew."),
    "mark": ("airdock.cli.tasks_hand:mark", "Say how tasks of a run ended."),
    "shell": ("airdock.cli.tasks_shell:shell", "Open a shell where a task runs."),
    "test": ("airdock.cli.tasks_test:test", "Run one task alone, and keep nothing of it."),
}

tasks = LazyGroup("tasks", lazy=_COMMANDS, help="Look at tasks and try them.", short_help="Look at tasks and try them.")
