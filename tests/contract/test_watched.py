"""What every store promises of what servers watch over together."""

from datetime import timedelta

from airdock.clock import ManualClock
from airdock.store.base import Store


def test_the_first_asset_of_a_name_and_of_an_address_is_the_active_one(store: Store) -> None:
    assert store.keep_assets([("orders", "s3://orders"), ("logs", "logs")]) == []
    wanted = [("logs", "s3://logs"), ("orders", "s3://orders"), ("copies", "s3://orders"), ("logs", "logs")]
    assert store.keep_assets(wanted) == [("logs", "s3://logs"), ("copies", "s3://orders")]
    assert store.list_active_assets() == [("logs", "logs"), ("orders", "s3://orders")]


def test_an_asset_that_is_not_defined_any_more_makes_room(store: Store) -> None:
    store.keep_assets([("orders", "s3://orders")])
    assert store.keep_assets([("copies", "s3://orders")]) == []
    assert store.list_active_assets() == [("copies", "s3://orders")]
    assert store.keep_assets([]) == []
    assert store.list_active_assets() == []


def test_a_duty_is_of_one_owner_until_its_lease_is_over(store: Store, clock: ManualClock) -> None:
    assert store.find_duty("watch") == ""
    assert store.take_duty("watch", owner="a", lease_s=10)
    assert not store.take_duty("watch", owner="b", lease_s=10)
    assert store.take_duty("other", owner="b", lease_s=10)
    clock.advance(timedelta(seconds=9))
    assert store.take_duty("watch", owner="a", lease_s=10)
    clock.advance(timedelta(seconds=9))
    assert not store.take_duty("watch", owner="b", lease_s=10)
    clock.advance(timedelta(seconds=1))
    assert store.take_duty("watch", owner="b", lease_s=10)
    assert not store.take_duty("watch", owner="a", lease_s=10)
    assert store.find_duty("watch") == "b"


def test_a_duty_is_taken_from_who_is_dead_and_left_only_by_who_has_it(store: Store) -> None:
    store.take_duty("watch", owner="a", lease_s=10)
    store.leave_duty("watch", owner="b")
    assert not store.take_duty("watch", owner="b", lease_s=10)
    assert store.take_duty("watch", owner="b", lease_s=10, displacing=["a"])
    store.leave_duty("watch", owner="b")
    assert store.take_duty("watch", owner="c", lease_s=10)
