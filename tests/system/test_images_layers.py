"""Layers of real containers, for each kind of account: what is committed is what the next container sees."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from .conftest import Account

HERE = Path(__file__).parent


def test_what_a_container_changes_becomes_a_layer(account: Account, debian_base: Path, tmp_path: Path) -> None:
    script = account.home / "commit_changes.py"
    shutil.copy(HERE / "commit_changes.py", script)
    script.chmod(0o644)
    ended = account.run(account.python, str(script), str(account.home / "layers"), str(debian_base))
    assert ended.returncode == 0, ended.stderr + ended.stdout
    said: dict[str, Any] = json.loads(ended.stdout)
    assert said["mapping"] == {"root": "root", "p": "one", "r": "ranges"}[kind_of(account)]
    assert said["moved"] and said["same"]
    check_members(said, has_owners=said["mapping"] != "one")
    check_next_container(said, has_owners=said["mapping"] != "one")
    assert said["left"] == []
    if shutil.which("skopeo"):
        check_layout(account.home / "layers/images", tmp_path)


def kind_of(account: Account) -> str:
    return "root" if account.name == "root" else account.name.removeprefix("airdock-")[0]


def check_members(said: dict[str, Any], *, has_owners: bool) -> None:
    """What is in the tar."""
    members = said["members"]
    assert said["owners"] == ("owners" if has_owners else "no owners")
    assert {owner for info in members.values() for owner in info["owners"]} == ({0, 42} if has_owners else {0})
    assert {name for name in members if ".wh." in name} >= {"etc/.wh.debian_version", "usr/share/doc/.wh..wh..opq"}
    assert (members["opt/kept/other"]["type"], members["opt/kept/other"]["link"]) == ("1", "opt/kept/file")
    assert members["opt/kept/link"]["type"] == "2" and members["opt/pipe"]["type"] == "6"
    assert members["opt/program"]["mode"] == "0o4755"
    assert members["opt/program"]["time"] == "1577934245.678901234"


def check_next_container(said: dict[str, Any], *, has_owners: bool) -> None:
    """What a container on top sees, of the folder that was moved as of one unpacked from the blob."""
    lines = said["seen"].splitlines()
    assert lines[:4] == ["one", "new", "file", "gone"]
    assert lines[4].startswith(f"644 0:{42 if has_owners else 0} 2 ")
    assert lines[5] == "4755 0:0 1 2020-01-02 03:04:05.678901234 +0000"
    assert lines[6].startswith("600 0:0 1 ")
    assert said["seen_again"] == said["seen"]


def check_layout(root: Path, folder: Path) -> None:
    """Another tool's view of the store: skopeo checks every digest when it copies."""
    command = ["skopeo", "--insecure-policy", "copy", "--quiet"]
    copied = subprocess.run(
        [*command, f"oci:{root}:docker.io/library/changed:latest", f"dir:{folder}"], capture_output=True, text=True
    )
    assert copied.returncode == 0, copied.stderr
    layers = json.loads((folder / "manifest.json").read_text())["layers"]
    assert len(layers) == 2
    for entry in layers:
        assert (folder / entry["digest"].partition(":")[2]).stat().st_size == entry["size"]
