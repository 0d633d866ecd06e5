"""pip's settings as pip itself finds them: its files, later ones over earlier ones, then PIP_* variables.

    $XDG_CONFIG_DIRS/pip/pip.conf (/etc/xdg), /etc/pip.conf                       the machine's
    ~/.pip/pip.conf, $XDG_CONFIG_HOME/pip/pip.conf (~/.config)                    the user's
    $VIRTUAL_ENV/pip.conf                                                         the virtual environment's
    $PIP_CONFIG_FILE                                                              instead of the user's

Source: pip's user guide, "Configuration files" and "Precedence".
"""

import configparser
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from airdock.errors import ConfigError

__all__ = ["load_pip_settings", "split_values"]

_SECTIONS: Final = ("global", "install")
_PREFIX: Final = "PIP_"


def load_pip_settings(*, environ: Mapping[str, str], home: Path, root: Path = Path("/")) -> dict[str, str]:
    """pip's settings for `pip install`, by their long option's name ("index-url").

    `root` is where /etc lies. Raises ConfigError for a file that pip could not read either.
    """
    settings: dict[str, str] = {}
    for path in _files(environ, home, root):
        settings.update(_read(path))
    for name, value in sorted(environ.items()):
        if name.startswith(_PREFIX) and name != "PIP_CONFIG_FILE" and value:
            settings[_option(name.removeprefix(_PREFIX))] = value
    if "default-timeout" in settings:  # both names are one option of pip's
        settings.setdefault("timeout", settings.pop("default-timeout"))
    return settings


def split_values(text: str) -> tuple[str, ...]:
    """The values of a setting that takes several: blanks or lines between them."""
    return tuple(text.split())


def _files(environ: Mapping[str, str], home: Path, root: Path) -> Iterator[Path]:
    own = environ.get("PIP_CONFIG_FILE")
    if own == os.devnull:
        return
    for folder in reversed(environ.get("XDG_CONFIG_DIRS", "").split(os.pathsep)):
        yield (Path(folder) if folder else root / "etc/xdg") / "pip/pip.conf"
    yield root / "etc/pip.conf"
    if not (own and Path(own).exists()):
        yield home / ".pip/pip.conf"
        yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip/pip.conf"
    if virtual := environ.get("VIRTUAL_ENV"):
        yield Path(virtual) / "pip.conf"
    if own:
        yield Path(own)


def _read(path: Path) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        with path.open(encoding="utf-8") as file:
            parser.read_file(file)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return {}
    except (configparser.Error, UnicodeDecodeError) as error:
        raise ConfigError(f"expected pip's settings, found: {error}", where=str(path)) from error
    return {
        _option(name): value
        for section in _SECTIONS
        if parser.has_section(section)
        for name, value in parser.items(section)
    }


def _option(name: str) -> str:
    return name.lower().replace("_", "-").removeprefix("--")
