"""Cached steps in a folder, to another store and its cache."""

import json
from pathlib import Path

import pytest

from airdock.builder.cache import BuildCache
from airdock.builder.transport import LABEL, CachePlace, export_steps, import_steps, parse_place
from airdock.errors import BuildError
from airdock.images.calls import DirectCalls
from airdock.images.image import Image
from airdock.images.store import ImageStore
from airdock.model.progress import Note

TEXT = "FROM base AS one\nRUN make\nFROM scratch\nCOPY --from=one /out /\nCOPY a /\n"


@pytest.fixture
def built(bench):
    bench.base("base")
    bench.programs["make"] = lambda command, output: {"out": "made", "more": "of it"}
    bench.write({"a": "1"})
    return bench


def elsewhere(bench, folder: Path):
    """The same bench with a store and a cache of its own."""
    other = type(bench).__new__(type(bench))
    other.__dict__.update(bench.__dict__)
    other.folder = folder / "elsewhere"
    other.folder.mkdir()
    other.store = ImageStore(root=other.folder / "images", calls=DirectCalls())
    other.run = type(bench.run)(store=other.store, programs=bench.programs)
    other.base("base")
    return other


@pytest.mark.parametrize(("mode", "commands"), [("min", 1), ("max", 0)])
def test_steps_come_back_from_a_folder(built, tmp_path: Path, mode: str, commands: int) -> None:
    place = CachePlace(kind="local", target=str(tmp_path / "steps"), mode=mode)
    first = built.build(TEXT, cache_to=(place,))
    other = elsewhere(built, tmp_path)
    assert other.build(TEXT, cache_from=(place,)).digest == first.digest
    assert len(other.run.commands) == commands
    assert sum(not cached for *_, cached in other.ended) == commands


def test_what_a_cached_build_writes_is_as_good(built, tmp_path: Path) -> None:
    place = CachePlace(kind="local", target=str(tmp_path / "steps"), mode="max")
    built.build(TEXT)
    built.build(TEXT, cache_to=(place,))
    built.build(TEXT, cache_to=(place,))
    other = elsewhere(built, tmp_path)
    other.build(TEXT, cache_from=(place,))
    assert all(cached for *_, cached in other.ended)


def test_a_build_does_without_what_is_not_there(built, tmp_path: Path) -> None:
    place = CachePlace(kind="local", target=str(tmp_path / "nowhere"))
    built.build(TEXT, cache_from=(place,))
    [note] = [event.line for event in built.events if isinstance(event, Note)]
    assert "no cached steps from" in note


def test_registries_are_reached_by_who_is_given(built) -> None:
    sent: list[str] = []
    store, cache = built.store, BuildCache(folder=built.folder / "cache", store=built.store)
    image = built.build(TEXT)
    keys = [step.key for step in cache.entries()]
    place = CachePlace(kind="registry", target="registry.example/cache:1", mode="max")
    export_steps(place, store=store, cache=cache, keys=keys, result=image.layers, push=sent.append)
    assert sent == [place.target]
    for key in keys:
        cache.forget(key)
    count = import_steps(place, store=store, cache=cache, spool=built.folder / "spool", pull=store.find)
    assert count == len(keys)


@pytest.mark.parametrize("label", [None, "no json", json.dumps([1]), json.dumps({"sha256:0": 5})])
def test_images_that_hold_no_steps(built, label: str | None) -> None:
    image: Image = built.base("other", labels={} if label is None else {LABEL: label})
    cache = BuildCache(folder=built.folder / "cache", store=built.store)
    place = CachePlace(kind="registry", target="other")
    with pytest.raises(BuildError, match="expected cached steps"):
        import_steps(place, store=built.store, cache=cache, spool=built.folder / "x", pull=lambda name: image)


def test_keys_that_are_none_are_left_out(built) -> None:
    image = built.store.find("base")
    steps = {str(image.layers[0].diff_id): ["../../../etc/passwd", "a" * 63, "A" * 64, "a" * 64]}
    image = built.base("steps", labels={LABEL: json.dumps(steps)})
    cache = BuildCache(folder=built.folder / "cache", store=built.store)
    place = CachePlace(kind="registry", target="steps")
    found = import_steps(place, store=built.store, cache=cache, spool=built.folder / "x", pull=lambda name: image)
    assert found == 1
    assert [step.key for step in cache.entries()] == ["a" * 64]


@pytest.mark.parametrize(
    ("text", "is_export", "expected"),
    [
        ("type=local,dest=d,mode=max", True, CachePlace(kind="local", target="d", mode="max")),
        ("type=local,src=d", False, CachePlace(kind="local", target="d")),
        ("type=registry,ref=a/b:c", True, CachePlace(kind="registry", target="a/b:c")),
        ("a/b:c", False, CachePlace(kind="registry", target="a/b:c")),
    ],
)
def test_places(text: str, is_export: bool, expected: CachePlace) -> None:
    assert parse_place(text, is_export=is_export) == expected


@pytest.mark.parametrize("text", ["type=s3,bucket=x", "type=local", "type=local,dest=d,mode=most"])
def test_places_that_are_none(text: str) -> None:
    with pytest.raises(BuildError, match="expected"):
        parse_place(text, is_export=True)
