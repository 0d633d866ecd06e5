"""Which images a filter means, and how much each takes."""

import io
import os
from datetime import UTC, datetime, timedelta

import pytest

from airdock.errors import ImageError, UnknownImageError
from airdock.images.filters import FILTERS, PRUNE_FILTERS, make_filter, matches_name, parse_filters, parse_until
from airdock.images.image import ImageRow
from airdock.images.room import shrink
from airdock.images.store import ImageStore

from .archives import config_of, member, tar_of

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def put(store: ImageStore, name: str, *files: str, age_s: int = 0) -> str:
    layers = [store.commit_tar(io.BytesIO(tar_of(member(file, content=file.encode() * 500)))) for file in files]
    image = store.put_image(config_of(name), layers)
    when = NOW.timestamp() - age_s
    os.utime(store.blob_path(image.digest), (when, when))
    if name:
        store.tag(name, image.digest)
    return image.digest


@pytest.fixture
def filled(store: ImageStore) -> ImageStore:
    put(store, "team/app:1", "a", "b", age_s=300)
    put(store, "team/app:2", "a", "c", age_s=200)
    put(store, "python:3.12-slim", "p", age_s=100)
    put(store, "", "n")
    return store


def listed(store: ImageStore, *texts: str) -> list[str]:
    passes = make_filter(store, parse_filters(texts, FILTERS), now=NOW)
    return [row.name for row in store.list() if passes(row)]


@pytest.mark.parametrize(
    ("texts", "names"),
    [
        ([], ["", "python:3.12-slim", "team/app:2", "team/app:1"]),
        (["dangling=true"], [""]),
        (["dangling=false"], ["python:3.12-slim", "team/app:2", "team/app:1"]),
        (["label=name"], ["", "python:3.12-slim", "team/app:2", "team/app:1"]),
        (["label=name=team/app:1"], ["team/app:1"]),
        (["label!=name=team/app:1", "dangling=0"], ["python:3.12-slim", "team/app:2"]),
        (["before=team/app:2"], ["team/app:1"]),
        (["since=team/app:2", "dangling=false"], ["python:3.12-slim"]),
        (["reference=team/*"], ["team/app:2", "team/app:1"]),
        (["reference=*:3.12-*"], ["python:3.12-slim"]),
        (["reference=docker.io/library/python"], ["python:3.12-slim"]),
        (["reference=team/app:1", "reference=python"], ["python:3.12-slim", "team/app:1"]),
        (["until=150s"], ["team/app:2", "team/app:1"]),
    ],
)
def test_filters(texts: list[str], names: list[str], filled: ImageStore) -> None:
    assert listed(filled, *texts) == names


@pytest.mark.parametrize("text", ["dangling", "colour=red", "dangling!=true", "=x", "dangling=perhaps", "until=never"])
def test_what_is_no_filter(text: str, filled: ImageStore) -> None:
    with pytest.raises(ImageError, match="expected"):
        listed(filled, text)
    with pytest.raises(ImageError, match="expected a filter"):
        parse_filters(["dangling=true"], PRUNE_FILTERS)


def test_beside_an_image_that_is_not_there(filled: ImageStore) -> None:
    with pytest.raises(UnknownImageError):
        listed(filled, "before=nothing")


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("24h", NOW - timedelta(hours=24)),
        ("1h30m", NOW - timedelta(minutes=90)),
        ("10d", NOW - timedelta(days=10)),
        ("1769860800", NOW),
        ("2026-01-31T12:00:00+00:00", NOW),
        ("2026-01-31T12:00:00Z", NOW),
    ],
)
def test_times(text: str, time: datetime) -> None:
    assert parse_until(text, NOW) == time


def test_names_with_a_registry(store: ImageStore) -> None:
    put(store, "localhost:5000/a/b:1", "x")
    (row,) = store.list()
    for wanted in ("localhost:5000/a/b", "localhost:5000/a/b:1", "localhost:5000/*/b", "*/a/*:1"):
        assert matches_name(row, wanted), wanted
    for wanted in ("b", "a/b", "*", "localhost:5000/a/b:2"):
        assert not matches_name(row, wanted), wanted


def rows(store: ImageStore) -> dict[str, ImageRow]:
    return {row.name: row for row in store.list()}


def test_sizes_tell_apart_what_others_have(filled: ImageStore) -> None:
    found = rows(filled)
    one, python = found["team/app:1"], found["python:3.12-slim"]
    assert one.size == one.shared_size + one.unique_size and one.shared_size == one.unique_size > 0
    assert (python.shared_size, python.unique_size) == (0, python.size)
    assert 0 < one.content_size < one.size


def test_pruning_what_was_chosen(filled: ImageStore) -> None:
    filled.close()  # nobody works on anything any more
    found = rows(filled)
    before = filled.room.size()
    pruned = filled.prune(lambda row: row.name == "team/app:1")
    assert pruned.lines() == ["Untagged: team/app:1", f"Deleted: {found['team/app:1'].digest}"]
    assert pruned.freed == before - filled.room.size() > found["team/app:1"].unique_size
    assert filled.prune().deleted == (found[""].digest,)
    assert sorted(rows(filled)) == ["python:3.12-slim", "team/app:2"]


def test_an_image_with_a_second_name_only_loses_the_chosen_one(filled: ImageStore) -> None:
    filled.tag("mine:1", rows(filled)["team/app:1"].digest)
    filled.close()
    assert filled.prune(lambda row: row.name == "team/app:1").lines() == ["Untagged: team/app:1"]
    assert "mine:1" in rows(filled)


def test_what_somebody_uses_stays(filled: ImageStore) -> None:
    image = filled.find("team/app:1")
    filled.close()
    filled.lease(image.config.diff_ids, "a container")
    assert filled.prune(lambda row: True).untagged == ("python:3.12-slim", "team/app:2")
    assert filled.find("team/app:1") == image


def test_a_lease_may_stand_for_a_path(filled: ImageStore) -> None:
    image = filled.find("team/app:1")
    folder = filled.root.parent / "container"
    folder.mkdir()
    filled.lease(image.config.diff_ids, "container web", path=folder)
    filled.close()
    assert filled.prune(lambda row: True).untagged == ("python:3.12-slim", "team/app:2")
    with pytest.raises(ImageError, match="in use by container web"):
        filled.remove("team/app:1")
    folder.rmdir()
    assert filled.prune(lambda row: True).untagged == ("team/app:1",)


def test_shrinking_takes_what_was_unused_for_longest(filled: ImageStore) -> None:
    for name, age_s in (("team/app:1", 30), ("team/app:2", 20), ("python:3.12-slim", 10)):
        for layer in filled.find(name).layers:
            path = filled.layer_path(layer.diff_id).parent / "lock"
            when = NOW.timestamp() + 1000 - age_s
            os.utime(path, (when, when))
    filled.close()
    filled.prune()
    size = filled.room.size()
    assert shrink(filled, size, lambda row: True).lines() == []
    assert shrink(filled, size - 1, lambda row: row.repository != "python").untagged == ("team/app:1",)
    assert sorted(shrink(filled, 0, lambda row: True).untagged) == ["python:3.12-slim", "team/app:2"]
    assert filled.room.size() == 0
