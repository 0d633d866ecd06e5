"""The three files that a container gets of its own, unless its /etc is bound: resolv.conf, hosts, hostname.

They lie in the container's folder and are bound over the image's, so that the image keeps what it has and a layer made
of `upper` has none of it. Writable, as installers like to edit them.
"""

import os
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["choose_name_files", "write_name_files"]

_LOOPBACK: Final = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"


def choose_name_files(config: Mapping[str, Any], folder: str) -> tuple[Mapping[str, Any], dict[str, bytes]]:
    """The configuration with binds for those files, and what `write_name_files` is to write below `folder`."""
    bound = {mount["destination"].rstrip("/") for mount in config["mounts"]}
    if "/etc" in bound or "/" in bound:
        return config, {}
    contents = {
        name: text for name, text in _contents(config).items() if f"/etc/{name}" not in bound and text is not None
    }
    binds = [
        {
            "destination": f"/etc/{name}",
            "type": "bind",
            "source": os.path.join(folder, name),
            "options": ["rbind", "rw", "nosuid", "nodev", "noexec"],
        }
        for name in contents
    ]
    return ({**config, "mounts": [*config["mounts"], *binds]} if binds else config), contents


def write_name_files(contents: Mapping[str, bytes], folder: str) -> None:
    """Put them where the binds take them from."""
    for name, content in contents.items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(content)


def _contents(config: Mapping[str, Any]) -> dict[str, bytes | None]:
    """What is in them; None for one that isn't wanted. With the machine's network its names count too."""
    name = config.get("hostname", "")
    shares = all(entry["type"] != "network" for entry in config["linux"]["namespaces"])
    hosts = _read("/etc/hosts") if shares else None
    own = b"" if shares else f"127.0.0.1\t{name}\n".encode()
    return {
        "resolv.conf": _read("/etc/resolv.conf") if shares else b"",
        "hosts": (hosts if hosts is not None else _LOOPBACK.encode()) + own,
        "hostname": f"{name}\n".encode(),
    }


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None
