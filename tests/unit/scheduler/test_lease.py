"""A run is taken over from another machine's scheduler only after that one's tries have ended."""

from datetime import UTC, datetime, timedelta

import pytest

from airdock.clock import ManualClock
from airdock.errors import ConflictError
from airdock.model.keys import RunKey
from airdock.model.states import RunState
from airdock.scheduler.intake import StoreIntake
from airdock.scheduler.lease import Lease, has_company
from airdock.store.memory import MemoryStore
from airdock.store.records import Run, SchedulerRow

NOW = datetime(2026, 3, 4, tzinfo=UTC)
STRANGER = "there:another-boot/4026531836:7:9:abcd"
_SHARE = 0.8
"""The part of its lease after which a supervisor kills a try."""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(at=NOW)


@pytest.fixture
def store(clock: ManualClock) -> MemoryStore:
    made = MemoryStore(clock=clock)
    key = RunKey(dag_id="d", run_id="r")
    made.create_run(Run(key=key, state=RunState.QUEUED, dag_digest="d", created=NOW), [])
    made.take_runs([key], owner=STRANGER, lease_s=10)
    return made


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


@pytest.mark.parametrize("asked_at_s", [0.0, 1.7, 3.3, 4.9, 5.0])
def test_a_try_ends_before_the_schedulers_lease_does(clock: ManualClock, asked_at_s: float) -> None:
    lease = Lease(10, clock)
    lease.renewed(clock.monotonic())
    clock.advance(seconds(asked_at_s))
    lease.check()
    assert asked_at_s + lease.of_tries_s * _SHARE < lease.length_s


def test_what_was_not_renewed_for_half_of_it_is_not_counted_on(clock: ManualClock) -> None:
    lease = Lease(10, clock)
    clock.advance(seconds(5.1))
    with pytest.raises(ConflictError, match=r"not renewed for 5\.1 s"):
        lease.check()
    lease.renewed(clock.monotonic())
    lease.check()


def test_a_strangers_run_is_taken_over_when_its_lease_is_over(store: MemoryStore, clock: ManualClock) -> None:
    intake = StoreIntake(store=store, owner="me", lease_s=10, clock=clock)
    for _ in range(3):
        assert intake.claim([], now=clock.now()) == []
        clock.advance(seconds(intake.pause_s))
    clock.advance(seconds(0.1))
    assert [run.key.run_id for run in intake.claim([], now=clock.now())] == ["r"]


def test_who_was_cut_off_itself_waits_until_others_could_renew(store: MemoryStore, clock: ManualClock) -> None:
    intake = StoreIntake(store=store, owner="me", lease_s=10, clock=clock)
    intake.claim([], now=clock.now())
    clock.advance(seconds(30))  # nobody reached the store
    assert intake.claim([], now=clock.now()) == []
    for _ in range(2):
        clock.advance(seconds(intake.pause_s))
        assert intake.claim([], now=clock.now()) == []
    clock.advance(seconds(intake.pause_s + 0.1))
    assert [run.key.run_id for run in intake.claim([], now=clock.now())] == ["r"]


def test_who_just_began_waits_until_others_have_seen_it(store: MemoryStore, clock: ManualClock) -> None:
    intake = StoreIntake(store=store, owner="me", lease_s=10, strangers_s=20, clock=clock)
    clock.advance(seconds(19))
    assert intake.claim([], now=clock.now()) == []
    clock.advance(seconds(1.1))
    assert [run.key.run_id for run in intake.claim([], now=clock.now())] == ["r"]


@pytest.mark.parametrize(
    ("other", "seen_s", "company"),
    [
        (STRANGER, 0, True),
        (STRANGER, -89, True),
        (STRANGER, -91, False),
        ("here:boot/1:8:9:efgh", 0, False),
    ],
)
def test_company_is_who_is_on_another_machine_and_was_seen_lately(other: str, seen_s: float, company: bool) -> None:
    own = "here:boot/1:7:9:abcd"
    rows = [
        SchedulerRow(owner=own, started=NOW, seen=NOW),
        SchedulerRow(owner=other, started=NOW, seen=NOW + seconds(seen_s)),
    ]
    assert has_company(rows, own, missing_s=90) is company
    assert not has_company(rows[1:], own, missing_s=90), "who hasn't said that it's there knows of nobody"
