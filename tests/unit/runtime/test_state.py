"""Records of containers on disk."""

import os
from pathlib import Path

import pytest

from airdock.errors import UnknownContainerError
from airdock.runtime.state import (
    ContainerState,
    find_container,
    is_alive,
    list_containers,
    load_state,
    process_start,
    save_state,
)


def add(root: Path, id: str, **fields: object) -> ContainerState:
    folder = root / id
    folder.mkdir()
    state = ContainerState(id=id, folder=str(folder), **fields)  # type: ignore[arg-type]
    save_state(state)
    return state


def test_a_record_comes_back(tmp_path: Path) -> None:
    state = add(tmp_path, "abc", name="web", command=("sh", "-c"), mount_points=("/etc",), cgroups={"cpu": "/x"})
    assert load_state(state.folder) == state


def test_the_youngest_is_first_and_strangers_are_passed_over(tmp_path: Path) -> None:
    add(tmp_path, "old", created="2026-01-01")
    add(tmp_path, "new", created="2026-01-02")
    (tmp_path / "no-record").mkdir()
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "state.json").write_text("{")
    (tmp_path / "file").touch()
    assert [state.id for state in list_containers(tmp_path)] == ["new", "old"]
    assert list_containers(tmp_path / "absent") == []


def test_containers_are_found_by_name_id_or_its_beginning(tmp_path: Path) -> None:
    add(tmp_path, "abcd", name="web")
    add(tmp_path, "abef", name="ab")
    assert find_container(tmp_path, "web").id == "abcd"
    assert find_container(tmp_path, "abc").id == "abcd"
    assert find_container(tmp_path, "ab").id == "abef"  # the whole name counts more
    with pytest.raises(UnknownContainerError, match="is the beginning of several containers: "):
        find_container(tmp_path, "a")
    with pytest.raises(UnknownContainerError, match="expected a container named 'x', found "):
        find_container(tmp_path, "x")
    with pytest.raises(UnknownContainerError):
        find_container(tmp_path, "")


def test_a_pid_that_is_used_again_is_not_the_container() -> None:
    own = os.getpid()
    assert is_alive(own, process_start(own))
    assert not is_alive(own, process_start(own) + 1)
    assert not is_alive(0, 0)
    assert process_start(2**22 + 1) == 0


def test_who_died_unheard_is_dead(tmp_path: Path) -> None:
    state = add(tmp_path, "a", status="running", pid=os.getpid(), pid_start=1)
    assert not state.alive
    assert state.current_status == "dead"
    ended = state.ended_with(3)
    assert (ended.current_status, ended.exit_code) == ("exited", 3)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"id": "a"}', "3", '{"id": "a", "folder": "b", "command": 4}'])
def test_a_record_that_cannot_be_read_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/state.json").write_text(content)
    assert load_state(tmp_path / "a") is None
    assert list_containers(tmp_path) == []
