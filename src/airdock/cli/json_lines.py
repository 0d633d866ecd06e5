"""A run as one JSON object per line: each event as it comes, then the summary."""

import json
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from airdock.cli.board import Board
from airdock.errors import AirdockError
from airdock.model.keys import TaskKey
from airdock.model.outcome import Outcome
from airdock.model.progress import (
    BuildFinished,
    BuildOutput,
    BuildStarted,
    BuildStep,
    Note,
    Progress,
    RunChanged,
    TaskChanged,
)

if TYPE_CHECKING:
    from airdock.cli.summary import Summary

__all__ = ["JsonView", "render_event"]

_NAMES: dict[type, str] = {
    BuildStarted: "build_started",
    BuildStep: "build_step",
    BuildOutput: "build_output",
    BuildFinished: "build_finished",
    TaskChanged: "task_changed",
    RunChanged: "run_changed",
    Note: "note",
}


class JsonView:
    """For programs: "event" says what an object is; durations are seconds, sizes bytes, times ISO 8601 in UTC."""

    draws = False

    def show(self, event: Progress, board: Board, now: float) -> None:
        click.echo(render_event(event, now))

    def draw(self, board: Board, now: float) -> None:
        """Lines stay as they are."""

    def close(self, summary: "Summary | None") -> None:
        if summary is not None:
            click.echo(json.dumps({"event": "summary", **summary.to_dict()}))

    def error(self, error: AirdockError) -> None:
        """Tell what broke the run off, as the last object."""
        click.echo(json.dumps({"event": "error", **error.to_dict()}))


def render_event(event: Progress, now: float) -> str:
    """One event as one line of JSON."""
    values: dict[str, Any] = {"event": _NAMES[type(event)], "elapsed_s": round(now, 3)}
    for option in fields(event):
        values.update(_plain(option.name, getattr(event, option.name)))
    return json.dumps(values)


def _plain(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, TaskKey):
        return {option.name: getattr(value, option.name) for option in fields(value)}
    if isinstance(value, Outcome):
        return {name: value.to_dict()}
    return {name: value.isoformat() if isinstance(value, datetime) else value}
