"""Volumes of a home, without containers that have them: names, labels, what `prune` takes."""

from pathlib import Path

import pytest

from airdock.containers.volumes import Volumes
from airdock.errors import VolumeError
from airdock.images.calls import DirectCalls


@pytest.fixture
def volumes(tmp_path: Path) -> Volumes:
    return Volumes(root=tmp_path / "volumes", containers=tmp_path / "containers", launcher=DirectCalls())


def test_prune_takes_volumes_without_a_name_with_every_all_that_pass(volumes: Volumes) -> None:
    volumes.create("kept", labels={"team": "etl"})
    volumes.create("spare")
    nameless = volumes.create(container="c" * 64)
    assert [one.name for one, _ in volumes.prune(passes=lambda one: one.name == "spare")] == []
    assert [one.name for one, _ in volumes.prune()] == [nameless.name]
    gone = volumes.prune(every=True, passes=lambda one: "team" not in one.labels)
    assert [(one.name, size) for one, size in gone] == [("spare", 0)]
    assert [one.name for one in volumes.list()] == ["kept"]


def test_a_volume_that_is_there_stays_as_it_is(volumes: Volumes) -> None:
    made = volumes.create("data", labels={"a": "1"})
    Path(made.path, "file").write_text("x")
    assert volumes.create("data", labels={"a": "2"}) == made
    assert volumes.find("data").labels == {"a": "1"} and Path(made.path, "file").read_text() == "x"


@pytest.mark.parametrize("name", ["a", "-x", "a/b", "../up", "a\nb", "é", ".hidden"])
def test_names_that_can_not_be(name: str, volumes: Volumes) -> None:
    with pytest.raises(VolumeError, match="expected a volume's name"):
        volumes.create(name)
    with pytest.raises(VolumeError, match="found none"):
        volumes.remove(name)
    volumes.remove(name, force=True)


def test_volumes_of_containers_that_went_without_a_word_are_swept(volumes: Volumes, tmp_path: Path) -> None:
    gone = volumes.create(container="d" * 64, transient=True)
    (tmp_path / "containers" / ("e" * 64)).mkdir(parents=True)
    there = volumes.create(container="e" * 64, transient=True)
    volumes.forget("f" * 64)
    assert [one.name for one in volumes.list()] == [there.name]
    assert not Path(gone.path).exists()


def test_a_damaged_record_is_no_volume(volumes: Volumes, tmp_path: Path) -> None:
    volumes.create("data")
    (tmp_path / "volumes/data/volume.json").write_text("{")
    assert list(volumes.list()) == []
