import threading
from pathlib import Path

import pytest

from airdock.containers.names import claim_name, find_name, make_name, release_name, release_names
from airdock.errors import ContainerError


def folder(run: Path, container_id: str) -> str:
    (run / "containers" / container_id).mkdir(parents=True)
    return container_id


def test_a_name_has_one_container(tmp_path: Path) -> None:
    one, two = folder(tmp_path, "one"), folder(tmp_path, "two")
    claim_name(tmp_path, "web", one)
    claim_name(tmp_path, "web", one)
    with pytest.raises(ContainerError, match="expected a name that isn't taken"):
        claim_name(tmp_path, "web", two)
    assert find_name(tmp_path, "web") == one
    release_name(tmp_path, "web", two)
    assert find_name(tmp_path, "web") == one
    release_name(tmp_path, "web", one)
    claim_name(tmp_path, "web", two)


def test_the_name_of_one_that_is_gone_is_free(tmp_path: Path) -> None:
    claim_name(tmp_path, "web", folder(tmp_path, "one"))
    (tmp_path / "containers/one").rmdir()
    assert find_name(tmp_path, "web") is None
    claim_name(tmp_path, "web", folder(tmp_path, "two"))
    assert find_name(tmp_path, "web") == "two"


def test_of_many_at_once_one_gets_it(tmp_path: Path) -> None:
    claim_name(tmp_path, "web", folder(tmp_path, "gone"))
    (tmp_path / "containers/gone").rmdir()
    ids = [folder(tmp_path, f"c{number}") for number in range(16)]
    won: list[str] = []

    def claim(container_id: str) -> None:
        try:
            claim_name(tmp_path, "web", container_id)
        except ContainerError:
            return
        won.append(container_id)

    threads = [threading.Thread(target=claim, args=(container_id,)) for container_id in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [find_name(tmp_path, "web")]


def test_names_can_be_said() -> None:
    assert all(part.isalnum() for part in make_name().split("_"))
    assert find_name(Path("/nowhere"), "../x") is None


def test_a_container_that_is_gone_leaves_no_name(tmp_path: Path) -> None:
    ids = folder(tmp_path, "one"), folder(tmp_path, "two")
    for container_id, name in zip((*ids, ids[1]), ("a", "b", "c"), strict=True):
        claim_name(tmp_path, name, container_id)
    (tmp_path / "containers/two").rmdir()
    release_names(tmp_path, "two")
    assert [link.name for link in (tmp_path / "names").iterdir()] == ["a"]
    release_names(tmp_path / "nowhere", "two")
