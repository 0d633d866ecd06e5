"""What a build is given of the index settings: a folder of files, and variables that point into it.

    uv.toml            everything said for uv, and what was said for pip only
    pip.conf           what was said for pip
    constraints.txt    the constraints of both, and overrides.txt those of uv
    ca.pem client.pem netrc

The folder holds passwords: it lives as long as the build, and only its owner gets in.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from airdock.environments.index import IndexSettings
from airdock.environments.temporary import temporary_folder
from airdock.environments.uv_config import render_toml
from airdock.errors import EnvironmentFailedError
from airdock.record import record

__all__ = ["Handover", "hand_over"]

_TRUST: Final = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT")


@record
class Handover:
    """`folder` is to be seen at `seen_at`, `environ` set. `compile_options` are for `uv pip compile` beside that."""

    folder: Path
    seen_at: str
    environ: dict[str, str]
    compile_options: tuple[str, ...]


@contextlib.contextmanager
def hand_over(settings: IndexSettings, parent: Path, *, seen_at: str | None = None) -> Iterator[Handover]:
    """Make the folder below `parent` and remove it at the end. `seen_at` None is the folder's own path."""
    with temporary_folder(parent, "index") as folder:
        yield _fill(settings, folder, seen_at or str(folder))


def _fill(settings: IndexSettings, folder: Path, seen_at: str) -> Handover:
    environ = {**settings.environ, "UV_CONFIG_FILE": f"{seen_at}/uv.toml", "PIP_CONFIG_FILE": f"{seen_at}/pip.conf"}
    options: list[str] = []
    _write(folder / "uv.toml", render_toml(settings.uv))
    pip = dict(settings.pip)
    if settings.constraints:
        _write(folder / "constraints.txt", _joined(settings.constraints, "-c"))
        options += ["--constraints", f"{seen_at}/constraints.txt"]
        pip["constraint"] = f"{seen_at}/constraints.txt"
    if settings.overrides:
        _write(folder / "overrides.txt", _joined(settings.overrides, "-r"))
        options += ["--overrides", f"{seen_at}/overrides.txt"]
    lines = ["[global]", *(f"{name} = {' '.join(value.split())}" for name, value in sorted(pip.items()))]
    _write(folder / "pip.conf", "\n".join(lines) + "\n")
    if settings.certificates is not None:
        _write(folder / "ca.pem", _certificates(settings.certificates))
        environ |= dict.fromkeys(_TRUST, f"{seen_at}/ca.pem")
    for path, name, variable in (
        (settings.client, "client.pem", "SSL_CLIENT_CERT"),
        (settings.netrc, "netrc", "NETRC"),
    ):
        if path is not None:
            _write(folder / name, _read(path))
            environ[variable] = f"{seen_at}/{name}"
    return Handover(folder=folder, seen_at=seen_at, environ=environ, compile_options=tuple(options))


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o644)


def _joined(places: Sequence[str], option: str) -> str:
    """The lines of several files as one; addresses are left to whoever reads it."""
    return "".join(f"{option} {place}\n" if "://" in place else f"{_read(Path(place))}\n" for place in places)


def _certificates(place: Path) -> str:
    if place.is_file():
        return _read(place)
    # A folder has each certificate under its own name and under its hash: the names with a digit at their end.
    files = sorted(path for path in place.iterdir() if path.is_file() and path.suffix.removeprefix(".").isdigit())
    files = files or sorted(path for path in place.iterdir() if path.suffix in (".pem", ".crt"))
    return "\n".join(_read(path) for path in files)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise EnvironmentFailedError(
            f"expected a file that can be read, found: {error}", where=str(path), hint="pip's or uv's settings name it"
        ) from error
