"""What happens, as the store keeps it: events of assets, backfills, callbacks to be called, who works here, a log."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from airdock.model.keys import TaskKey
from airdock.store.records import AssetEvent, Backfill, CallbackRow, LogRow, SchedulerRow
from airdock.store.registry import Row
from airdock.store.times import known_time, micros, time_of
from airdock.store.watched import Watched

__all__ = ["AGES", "Journal", "callback_row", "event_row"]


class Journal(Watched):
    """More verbs over the tables of `registry.KEYS`; each is one transaction."""

    # Assets

    def add_events(self, events: Sequence[AssetEvent]) -> list[int]:
        """Keep events; gives their numbers."""
        with self._rows(write=True) as rows:
            return rows.add("asset_events", [event_row(each) for each in events])

    def list_events(
        self, *, after: int = 0, name: str | None = None, uri: str | None = None, alias: str | None = None
    ) -> list[AssetEvent]:
        """Those with a higher number, of this asset or alias where it's given, the oldest first."""
        given = {"name": name, "uri": uri, "alias": alias}
        wanted: dict[str, Any] = {column: value for column, value in given.items() if value is not None}
        with self._rows(write=False) as rows:
            return [_event_of(row) for row in rows.select("asset_events", above=after, **wanted)]

    def load_marks(self) -> dict[str, int]:
        """For each DAG the number of the last event that a run of it was made for, or that was there before it."""
        with self._rows(write=False) as rows:
            return {row["dag_id"]: row["event"] for row in rows.select("asset_marks")}

    # Backfills

    def add_backfill(self, backfill: Backfill) -> int:
        """Keep a backfill; gives its number."""
        with self._rows(write=True) as rows:
            return rows.add("backfills", [_backfill_row(backfill)])[0]

    def list_backfills(self, *, dag_id: str | None = None) -> list[Backfill]:
        """The oldest first."""
        with self._rows(write=False) as rows:
            found = (_backfill_of(row) for row in rows.select("backfills"))
            return [each for each in found if dag_id in (None, each.dag_id)]

    def end_backfill(self, number: int, *, state: str) -> None:
        """It is done, or cancelled."""
        with self._rows(write=True) as rows:
            found = list(rows.select("backfills", number=number))
            rows.upsert("backfills", [{**row, "state": state} for row in found])

    # Callbacks

    def add_callbacks(self, callbacks: Sequence[CallbackRow]) -> list[int]:
        """Have these called; gives their numbers. `Batch.callbacks` has it done together with what they tell of."""
        with self._rows(write=True) as rows:
            return rows.add("callbacks", [callback_row(each) for each in callbacks])

    def take_callbacks(
        self, *, owner: str, lease_s: float, limit: int = 100, displacing: Collection[str] = ()
    ) -> list[CallbackRow]:
        """Own callbacks for `lease_s` seconds, those that nobody owns or whose lease is over; the oldest first.

        Those of `displacing`, owners that are known to be dead, are taken whatever their lease. Whoever owns a callback
        calls it and ends it. One whose owner dies meanwhile is called again.
        """
        now = self.now()
        with self._rows(write=True) as rows:
            live = micros(now) or 0
            nobodys = {"", *displacing}
            found = rows.select("callbacks")
            free = [row for row in found if row["owner"] in nobodys or (row["lease_until"] or 0) <= live]
            until = micros(now + timedelta(seconds=lease_s))
            taken = [{**row, "owner": owner, "lease_until": until} for row in free[:limit]]
            rows.upsert("callbacks", taken)
            return [_callback_of(row) for row in taken]

    def list_callbacks(self) -> list[CallbackRow]:
        """Those that aren't ended, the oldest first."""
        with self._rows(write=False) as rows:
            return [_callback_of(row) for row in rows.select("callbacks")]

    def end_callbacks(self, numbers: Collection[int]) -> None:
        """They were called, or can't be."""
        with self._rows(write=True) as rows:
            for number in numbers:
                rows.delete("callbacks", number=number)

    # Who works here

    def beat(self, owner: str) -> None:
        """This scheduler is alive."""
        now = micros(self.now())
        with self._rows(write=True) as rows:
            found = next(iter(rows.select("schedulers", owner=owner)), None)
            started = found["started"] if found else now
            rows.upsert("schedulers", [{"owner": owner, "started": started, "seen": now}])

    def list_schedulers(self) -> list[SchedulerRow]:
        """By owner."""
        with self._rows(write=False) as rows:
            return [
                SchedulerRow(owner=row["owner"], started=known_time(row["started"]), seen=known_time(row["seen"]))
                for row in rows.select("schedulers")
            ]

    def sign_off(self, owner: str) -> None:
        """This scheduler works here no longer."""
        with self._rows(write=True) as rows:
            rows.delete("schedulers", owner=owner)

    # The log

    def add_log(self, entries: Sequence[LogRow]) -> None:
        """Keep what was done."""
        with self._rows(write=True) as rows:
            rows.add("log", [_log_row(each) for each in entries])

    def list_log(self, *, dag_id: str | None = None, limit: int = 100) -> list[LogRow]:
        """The newest first."""
        wanted: dict[str, Any] = {} if dag_id is None else {"dag_id": dag_id}
        with self._rows(write=False) as rows:
            return [_log_of(row) for row in rows.select("log", newest=limit, **wanted)]

    # What is old

    def forget_old(self, table: str, before: datetime, *, pretend: bool = False) -> int:
        """Forget what is older, in a table of `AGES`; gives how many rows. Numbers aren't given again.

        With `pretend` they stay.
        """
        column, conditions = AGES[table]
        older = (column, micros(before) or 0)
        with self._rows(write=not pretend) as rows:
            take = rows.count if pretend else rows.delete
            return sum(take(table, older=older, **equals) for equals in conditions)

    def forget_all_of(self, dag_id: str) -> None:
        """Forget what the tables of this module have of a DAG, but for events of assets and the log."""
        with self._rows(write=True) as rows:
            for table in ("dag_index", "asset_marks", "backfills"):
                rows.delete(table, dag_id=dag_id)


AGES: Final[Mapping[str, tuple[str, Sequence[Mapping[str, Any]]]]] = {
    "asset_events": ("at", [{}]),
    "backfills": ("created", [{"state": "done"}, {"state": "cancelled"}]),
    "dag_index": ("loaded", [{"is_active": 0}]),
    "log": ("at", [{}]),
    "schedulers": ("seen", [{}]),
    "states": ("until", [{}]),
}
"""The tables from which what is old can be taken: the column that tells, and which rows may go."""


def event_row(event: AssetEvent) -> dict[str, Any]:
    """The row of an event, without its number."""
    source = event.source
    return {
        "name": event.name,
        "uri": event.uri,
        "alias": event.alias,
        "extra": json.dumps(dict(event.extra)),
        "at": micros(event.at),
        "dag_id": source.dag_id if source else "",
        "run_id": source.run_id if source else "",
        "task_id": source.task_id if source else "",
        "map_index": source.map_index if source else -1,
    }


def _event_of(row: Row) -> AssetEvent:
    source = None
    if row["dag_id"]:
        places = {name: row[name] for name in ("dag_id", "run_id", "task_id", "map_index")}
        source = TaskKey(**places)
    return AssetEvent(
        name=row["name"],
        uri=row["uri"],
        alias=row["alias"],
        extra=json.loads(row["extra"]),
        at=known_time(row["at"]),
        source=source,
        number=row["number"],
    )


def _backfill_row(backfill: Backfill) -> dict[str, Any]:
    return {
        "dag_id": backfill.dag_id,
        "start": micros(backfill.start),
        "end": micros(backfill.end),
        "created": micros(backfill.created),
        "reverse": int(backfill.reverse),
        "max_active_runs": backfill.max_active_runs,
        "reprocess": backfill.reprocess,
        "conf": json.dumps(dict(backfill.conf)),
        "state": backfill.state,
    }


def _backfill_of(row: Row) -> Backfill:
    return Backfill(
        dag_id=row["dag_id"],
        start=known_time(row["start"]),
        end=known_time(row["end"]),
        created=known_time(row["created"]),
        reverse=bool(row["reverse"]),
        max_active_runs=row["max_active_runs"],
        reprocess=row["reprocess"],
        conf=json.loads(row["conf"]),
        state=row["state"],
        number=row["number"],
    )


def callback_row(callback: CallbackRow) -> dict[str, Any]:
    """The row of a callback, without its number."""
    return {
        "call": json.dumps(dict(callback.call)),
        "created": micros(callback.created),
        "owner": callback.owner,
        "lease_until": micros(callback.lease_until),
    }


def _callback_of(row: Row) -> CallbackRow:
    return CallbackRow(
        call=json.loads(row["call"]),
        created=known_time(row["created"]),
        owner=row["owner"],
        lease_until=time_of(row["lease_until"]),
        number=row["number"],
    )


def _log_row(entry: LogRow) -> dict[str, Any]:
    return {
        "event": entry.event,
        "at": micros(entry.at),
        "who": entry.who,
        "dag_id": entry.dag_id,
        "run_id": entry.run_id,
        "task_id": entry.task_id,
        "map_index": entry.map_index,
        "extra": json.dumps(dict(entry.extra)),
    }


def _log_of(row: Row) -> LogRow:
    return LogRow(**{**row, "at": known_time(row["at"]), "extra": json.loads(row["extra"])})
