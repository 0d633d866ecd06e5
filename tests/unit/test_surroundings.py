"""Folders of the machine that tasks see."""

from pathlib import Path

import pytest

from airdock.errors import ConfigError
from airdock.model.mount import Mount
from airdock.surroundings import make_folders


def test_folders_are_read_only_unless_said_and_outer_ones_come_first(tmp_path: Path) -> None:
    inner, home = tmp_path / "data" / "new", tmp_path / "home"
    inner.mkdir(parents=True)
    (tmp_path / "link").symlink_to(inner)
    found = make_folders([f"{inner}:rw", f"{tmp_path}/data", f"{tmp_path}/link"], home=home)
    assert found == (
        Mount(source=f"{tmp_path}/data", target=f"{tmp_path}/data"),
        Mount(source=str(inner), target=str(inner), read_only=False),
        Mount(source=str(inner), target=f"{tmp_path}/link"),
    )
    assert make_folders([], home=home) == ()


@pytest.mark.parametrize("entry", ["data", "{}/nowhere", "{}/file", "{}/data:ro"])
def test_what_is_no_folder_is_refused(tmp_path: Path, entry: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="expected folders of this machine") as found:
        make_folders([entry.format(tmp_path)], home=tmp_path / "home")
    assert "/data" in found.value.hint


@pytest.mark.parametrize("entry", ["{}", "{}/home", "{}/home/logs", "{}/link:rw", "/"])
def test_airdocks_own_home_is_never_shown(tmp_path: Path, entry: str) -> None:
    (tmp_path / "home" / "logs").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "home")
    with pytest.raises(ConfigError, match="Airdock's own"):
        make_folders([entry.format(tmp_path)], home=tmp_path / "home")


@pytest.mark.parametrize("entry", ["/proc", "/dev/shm", "/sys/fs", "/run"])
def test_what_containers_have_themselves_is_not_hidden(tmp_path: Path, entry: str) -> None:
    with pytest.raises(ConfigError, match="containers don't have themselves"):
        make_folders([entry], home=tmp_path / "home")
