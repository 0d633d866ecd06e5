"""What is of this machine: its network's registries, logins, proxies and certificates, and folders that tasks see."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from airdock.config import Registries
from airdock.errors import ConfigError
from airdock.model.mount import Mount
from airdock.remote.base import RemoteSettings

__all__ = ["find_certificates", "find_login_files", "find_proxies", "make_folders", "make_remote_settings"]

_PROXIES: Final = frozenset({"http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"})
_WRITABLE: Final = ":rw"
_KEPT: Final = tuple(Path(path) for path in ("/proc", "/sys", "/dev", "/run/airdock", "/workspace"))
"""What a container has of its own, and what tasks are given."""
_CERTIFICATES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def make_remote_settings(registries: Registries, environ: Mapping[str, str]) -> RemoteSettings:
    """How registries are reached. ConfigError for a mirror that is none."""
    mirrors: dict[str, list[str]] = {}
    for entry in registries.mirrors:
        registry, equals, mirror = entry.partition("=")
        if not (registry and equals and mirror):
            raise ConfigError(
                f"expected registries.mirrors to have REGISTRY=MIRROR, got {entry!r}",
                hint="such as docker.io=https://mirror.example.com",
            )
        mirrors.setdefault(registry, []).append(mirror)
    return RemoteSettings(
        mirrors=mirrors,
        insecure=frozenset(registries.insecure),
        retries=registries.retries,
        timeout_s=float(registries.timeout_s),
        at_once=registries.at_once,
        certificates=(Path("/etc/docker/certs.d"), Path.home() / ".config/containers/certs.d"),
        proxies={name.lower(): value for name, value in environ.items() if name.lower() in _PROXIES and value},
    )


def find_login_files(environ: Mapping[str, str]) -> Sequence[Path]:
    """Docker's file first, which is the one that is written; then Podman's."""
    named = environ.get("REGISTRY_AUTH_FILE")
    if named:
        return (Path(named),)
    docker = Path(environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
    runtime = environ.get("XDG_RUNTIME_DIR")
    podman = [Path(runtime) / "containers/auth.json"] if runtime else []
    return (docker, *podman)


def find_proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """The proxies of this machine's network, for tasks that are on it too."""
    return {name: value for name, value in environ.items() if name.lower() in _PROXIES}


def find_certificates(environ: Mapping[str, str]) -> dict[str, str]:
    """Where this machine keeps the certificates that it trusts, if that is where a host image has it too."""
    return {name: environ[name] for name in _CERTIFICATES if environ.get(name, "").startswith(("/etc/", "/usr/"))}


def make_folders(folders: Sequence[str], *, home: Path) -> tuple[Mount, ...]:
    """Folders that tasks see where they are on this machine, read-only unless `:rw` follows; outer ones first.

    ConfigError for what is no folder, and for what would show AIRDOCK_HOME (`home`) or hide what a container has.
    """
    return tuple(sorted((_folder(each, home) for each in folders), key=lambda mount: mount.target))


def _folder(entry: str, home: Path) -> Mount:
    where = "isolation.folders"
    path = Path(entry.removesuffix(_WRITABLE))
    if not path.is_absolute() or not path.is_dir():
        raise ConfigError(
            f"expected folders of this machine, found {entry!r}", where=where, hint="such as /data or /results:rw"
        )
    real, own = path.resolve(), home.resolve()
    if own.is_relative_to(real) or real.is_relative_to(own):
        raise ConfigError(
            f"expected no folder that has to do with Airdock's own, {home}, found {entry!r}",
            where=where,
            hint="name a folder beside it",
        )
    if any(path.is_relative_to(kept) or kept.is_relative_to(path) for kept in _KEPT):
        raise ConfigError(f"expected a folder that containers don't have themselves, found {entry!r}", where=where)
    return Mount(source=str(real), target=str(path), read_only=not entry.endswith(_WRITABLE))
