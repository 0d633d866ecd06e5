"""When runs have to have ended, as the store keeps it until they have, or haven't."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from airdock.model.keys import RunKey
from airdock.model.states import RunState
from airdock.store.journal import Journal, callback_row
from airdock.store.records import CallbackRow, Deadline, RunTransition
from airdock.store.registry import Row, Rows
from airdock.store.times import known_time, micros, time_of

__all__ = ["Deadlines", "add_deadlines", "forget_deadlines", "forget_met"]


class Deadlines(Journal):
    """More verbs over the tables of `registry.KEYS`; each is one transaction.

    Deadlines come with their run (`Store.create_run`) and go with it. Those that a run meets by its success go in the
    transaction that stores that.
    """

    def list_deadlines(self, *, run: RunKey | None = None, until: datetime | None = None) -> list[Deadline]:
        """Those that are open, of this run and due by then, where these are given; the oldest first."""
        with self._rows(write=False) as rows:
            found = rows.select("deadlines", **_of(run))
            return [_deadline_of(row) for row in found if until is None or known_time(row["due"]) <= until]

    def next_deadline(self, *, run: RunKey | None = None) -> datetime | None:
        """When the next is due, of this run where it is given; None where none is open."""
        with self._rows(write=False) as rows:
            return time_of(rows.lowest("deadlines", "due", **_of(run)))

    def end_deadlines(self, ended: Sequence[tuple[Deadline, CallbackRow | None]]) -> list[Deadline]:
        """Take these out, and have the callback called that is beside one; gives those that were still open.

        A deadline is taken out once, whoever tries to, so its callback is added once.
        """
        with self._rows(write=True) as rows:
            taken = [(each, call) for each, call in ended if rows.delete("deadlines", **_row(each))]
            rows.add("callbacks", [callback_row(call) for _, call in taken if call is not None])
            return [each for each, _ in taken]


def add_deadlines(rows: Rows, deadlines: Sequence[Deadline]) -> None:
    """Keep these, in the transaction that makes their run."""
    rows.add(
        "deadlines", [{name: value for name, value in _row(each).items() if name != "number"} for each in deadlines]
    )


def forget_met(rows: Rows, step: RunTransition) -> None:
    """Take out what a run meets by this change. One that failed may be cleared, and so keeps its deadlines."""
    if step.target is not RunState.SUCCESS:
        return
    for row in list(rows.select("deadlines", **_of(step.key))):
        if step.at <= known_time(row["due"]):
            rows.delete("deadlines", number=row["number"])


def forget_deadlines(rows: Rows, run: RunKey) -> None:
    """Take out all of a run."""
    rows.delete("deadlines", **_of(run))


def _of(run: RunKey | None) -> dict[str, Any]:
    return {} if run is None else {"dag_id": run.dag_id, "run_id": run.run_id}


def _row(deadline: Deadline) -> dict[str, Any]:
    return {
        "number": deadline.number,
        **_of(deadline.run),
        "due": micros(deadline.due),
        "alert": json.dumps(dict(deadline.alert), sort_keys=True),
    }


def _deadline_of(row: Row) -> Deadline:
    return Deadline(
        run=RunKey(dag_id=row["dag_id"], run_id=row["run_id"]),
        due=known_time(row["due"]),
        alert=json.loads(row["alert"]),
        number=row["number"],
    )
