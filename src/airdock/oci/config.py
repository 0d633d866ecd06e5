"""What a container of an image starts with, and what the image is made of (OCI image spec, config.md).

Docker's own additions that builds need (`Shell`, `Healthcheck`, `OnBuild`) are fields; whatever else a document holds
is kept and written back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import Any, Self

from airdock.errors import DigestError, ImageError
from airdock.oci.digest import Digest
from airdock.oci.document import canonical_bytes, take, take_list, take_object, take_string_map, take_strings
from airdock.record import record

__all__ = ["History", "ImageConfig"]

_OWN = ("architecture", "os", "variant", "created", "author", "config", "rootfs", "history")
_CONFIG_OWN = (
    "Env", "Entrypoint", "Cmd", "User", "WorkingDir", "Labels", "ExposedPorts", "Volumes", "StopSignal", "Shell",
    "Healthcheck", "OnBuild",
)  # fmt: skip


@record
class History:
    """How one layer came about; `empty_layer` for a step that changed only the configuration."""

    created: str | None = None
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False

    def to_json(self) -> dict[str, Any]:
        fields = {name: getattr(self, name) for name in ("created", "created_by", "author", "comment", "empty_layer")}
        return {name: value for name, value in fields.items() if value}

    @classmethod
    def from_json(cls, value: Mapping[str, Any], *, where: str = "history") -> Self:
        if not isinstance(value, dict):
            raise ImageError(f"expected 'history' to hold objects, found {value!r}", where=where)
        return cls(
            created=_take_time(value, where),
            created_by=take(value, "created_by", str, "", where),
            author=take(value, "author", str, "", where),
            comment=take(value, "comment", str, "", where),
            empty_layer=take(value, "empty_layer", bool, False, where),
        )


@record
class ImageConfig:
    """The record over an image configuration. `created` is RFC 3339 text; `entrypoint` and `cmd` are None when unset.

    `extra` and `config_extra` hold fields that are not ours, of the document and of its `config` object.
    """

    architecture: str
    os: str = "linux"
    variant: str = ""
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    user: str = ""
    working_dir: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""
    shell: tuple[str, ...] | None = None
    healthcheck: Mapping[str, Any] | None = None
    on_build: tuple[str, ...] = ()
    created: str | None = None
    author: str = ""
    history: tuple[History, ...] = ()
    diff_ids: tuple[Digest, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    config_extra: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The document, with nothing in it for what is unset."""
        document = {
            "variant": self.variant,
            "created": self.created,
            "author": self.author,
            "config": {**self.config_extra, **_without_unset(_execution(self))},
            "history": [entry.to_json() for entry in self.history],
        }
        rootfs = {"type": "layers", "diff_ids": [str(digest) for digest in self.diff_ids]}
        required = {"architecture": self.architecture, "os": self.os, "rootfs": rootfs}
        return {**self.extra, **_without_unset(document), **required}

    def to_bytes(self) -> bytes:
        """The canonical text, whose digest is the image's id."""
        return canonical_bytes(self.to_json())

    @classmethod
    def from_json(cls, value: Mapping[str, Any], *, where: str = "image config") -> Self:
        for key in ("architecture", "os"):
            if not isinstance(value.get(key), str):
                raise ImageError(f"expected {key!r} to be a text, found {value.get(key)!r}", where=where)
        inner = take(value, "config", dict, {}, where)
        return cls(
            architecture=value["architecture"],
            os=value["os"],
            variant=take(value, "variant", str, "", where),
            created=_take_time(value, where),
            author=take(value, "author", str, "", where),
            history=take_list(value, "history", lambda entry: History.from_json(entry, where=where), where),
            diff_ids=_take_diff_ids(value, where),
            extra={key: found for key, found in value.items() if key not in _OWN},
            config_extra={key: found for key, found in inner.items() if key not in _CONFIG_OWN},
            **_take_execution(inner, where),
        )


def _execution(config: ImageConfig) -> dict[str, Any]:
    return {
        "Env": list(config.env),
        "Entrypoint": _listed(config.entrypoint),
        "Cmd": _listed(config.cmd),
        "User": config.user,
        "WorkingDir": config.working_dir,
        "Labels": dict(config.labels),
        "ExposedPorts": {port: {} for port in config.exposed_ports},
        "Volumes": {path: {} for path in config.volumes},
        "StopSignal": config.stop_signal,
        "Shell": _listed(config.shell),
        "Healthcheck": dict(config.healthcheck) if config.healthcheck is not None else None,
        "OnBuild": list(config.on_build),
    }


def _take_execution(inner: Mapping[str, Any], where: str) -> dict[str, Any]:
    healthcheck = take(inner, "Healthcheck", dict, {}, where)
    return {
        "env": _take_env(inner, where),
        "entrypoint": _take_argv(inner, "Entrypoint", where),
        "cmd": _take_argv(inner, "Cmd", where),
        "user": take(inner, "User", str, "", where),
        "working_dir": take(inner, "WorkingDir", str, "", where),
        "labels": take_string_map(inner, "Labels", where),
        "exposed_ports": tuple(sorted(take(inner, "ExposedPorts", dict, {}, where))),
        "volumes": tuple(sorted(take(inner, "Volumes", dict, {}, where))),
        "stop_signal": take(inner, "StopSignal", str, "", where),
        "shell": _take_argv(inner, "Shell", where),
        "healthcheck": healthcheck or None,
        "on_build": take_strings(inner, "OnBuild", where),
    }


def _take_env(inner: Mapping[str, Any], where: str) -> tuple[str, ...]:
    entries = take_strings(inner, "Env", where)
    for entry in entries:
        if not entry.partition("=")[0] or "=" not in entry:
            raise ImageError(f"expected 'Env' to hold NAME=value, found {entry!r}", where=where)
    return entries


def _take_argv(inner: Mapping[str, Any], key: str, where: str) -> tuple[str, ...] | None:
    return take_strings(inner, key, where) if inner.get(key) is not None else None


def _take_diff_ids(value: Mapping[str, Any], where: str) -> tuple[Digest, ...]:
    rootfs = take_object(value, "rootfs", where)
    if rootfs.get("type") != "layers" or not isinstance(rootfs.get("diff_ids"), list):
        raise ImageError(f"expected 'rootfs' of type layers with its diff_ids, found {rootfs!r}", where=where)
    try:
        return tuple(Digest.parse(text) for text in take_strings(rootfs, "diff_ids", where))
    except DigestError as error:
        raise DigestError(error.message, where=f"{where}: diff_ids") from error


def _take_time(value: Mapping[str, Any], where: str) -> str | None:
    text = take(value, "created", str, "", where)
    try:
        if text:
            datetime.fromisoformat(text)
    except ValueError as error:
        raise ImageError(f"expected 'created' to be an RFC 3339 time, found {text!r}", where=where) from error
    return text or None


def _listed(values: Sequence[str] | None) -> list[str] | None:
    return list(values) if values is not None else None


def _without_unset(document: Mapping[str, Any]) -> dict[str, Any]:
    """Entrypoint `[]` says something (it clears the base's); every other empty value says nothing."""
    return {key: value for key, value in document.items() if value or (key in ("Entrypoint", "Cmd") and value == [])}
