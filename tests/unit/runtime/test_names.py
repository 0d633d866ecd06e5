"""resolv.conf, hosts and hostname of a container."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airdock.model.mount import Mount
from airdock.runtime.names import choose_name_files, write_name_files
from airdock.runtime.spec import make_config


def targets(config: object) -> list[str]:
    assert isinstance(config, dict)
    return [mount["destination"] for mount in config["mounts"] if mount["destination"].startswith("/etc")]


def add_name_files(config: Mapping[str, Any], folder: str) -> Mapping[str, Any]:
    chosen, files = choose_name_files(config, folder)
    write_name_files(files, folder)
    return chosen


def test_a_container_has_its_own(tmp_path: Path) -> None:
    config = add_name_files(make_config(argv=["true"], hostname="box", network="none"), str(tmp_path))
    assert targets(config) == ["/etc/resolv.conf", "/etc/hosts", "/etc/hostname"]
    assert (tmp_path / "hostname").read_text() == "box\n"
    assert "127.0.0.1\tbox\n" in (tmp_path / "hosts").read_text()
    assert (tmp_path / "resolv.conf").read_text() == ""


def test_with_the_machines_network_the_machines_names_count(tmp_path: Path) -> None:
    add_name_files(make_config(argv=["true"], hostname="box"), str(tmp_path))
    hosts = Path("/etc/hosts")
    if hosts.exists():
        assert (tmp_path / "hosts").read_bytes() == hosts.read_bytes()


def test_a_bound_etc_is_left_alone(tmp_path: Path) -> None:
    config = make_config(argv=["true"], binds=[Mount(source="/etc", target="/etc")])
    assert add_name_files(config, str(tmp_path)) is config
    assert list(tmp_path.iterdir()) == []


def test_a_bound_file_is_left_alone(tmp_path: Path) -> None:
    config = make_config(argv=["true"], network="none", binds=[Mount(source="/x", target="/etc/hosts")])
    assert targets(add_name_files(config, str(tmp_path))) == ["/etc/hosts", "/etc/resolv.conf", "/etc/hostname"]
