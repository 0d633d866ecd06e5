"""uv's own settings as uv finds them, and how they are written down again.

    $UV_CONFIG_FILE                                               alone, where it is set
    $XDG_CONFIG_HOME/uv/uv.toml (~/.config)                       the user's, over
    $XDG_CONFIG_DIRS/uv/uv.toml (/etc/xdg), else /etc/uv/uv.toml  the machine's

Source: uv's documentation, "Configuration files".
"""

import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from airdock.errors import ConfigError

__all__ = ["INDEX_OPTIONS", "load_uv_settings", "render_toml"]

INDEX_OPTIONS: Final = frozenset({"index", "index-url", "extra-index-url", "find-links", "no-index"})
"""The options that say where packages come from."""
_PLACES: Final = frozenset({"index-url", "extra-index-url", "find-links"})


def load_uv_settings(*, environ: Mapping[str, str], home: Path, root: Path = Path("/")) -> dict[str, Any]:
    """uv's options from its files; local folders in them are absolute. ConfigError for a file that isn't TOML."""
    settings: dict[str, Any] = {}
    for path in _files(environ, home, root):
        settings = _over(settings, _read(path))
    # "pip" holds options for `uv pip` alone, and that is what we call: they count more.
    own = settings.pop("pip", {})
    return _over(own, settings) if isinstance(own, dict) else settings


def _files(environ: Mapping[str, str], home: Path, root: Path) -> Iterator[Path]:
    """The more important first."""
    if environ.get("UV_NO_CONFIG"):
        return
    if own := environ.get("UV_CONFIG_FILE"):
        yield Path(own)
        return
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "uv/uv.toml"
    folders = [Path(folder) for folder in environ.get("XDG_CONFIG_DIRS", "").split(os.pathsep) if folder]
    candidates = [folder / "uv/uv.toml" for folder in folders or [root / "etc/xdg"]]
    yield next((path for path in candidates if path.exists()), root / "etc/uv/uv.toml")


def _over(first: dict[str, Any], then: dict[str, Any]) -> dict[str, Any]:
    """Both, `first` counting more; lists are joined, as uv does it."""
    joined = {
        name: first[name] + then[name]
        for name in first.keys() & then.keys()
        if isinstance(first[name], list) and isinstance(then[name], list)
    }
    return {**then, **first, **joined}


def _read(path: Path) -> dict[str, Any]:
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"expected uv's settings as TOML, found: {error}", where=str(path)) from error
    return _absolute(settings, path.parent)


def _absolute(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    def place(value: Any) -> Any:
        local = isinstance(value, str) and "://" not in value and not value.startswith("/")
        return str(folder / value) if local else value

    result: dict[str, Any] = {}
    for name, value in settings.items():
        if name in _PLACES:
            result[name] = [place(each) for each in value] if isinstance(value, list) else place(value)
        elif name == "index" and isinstance(value, list):
            result[name] = [{**entry, "url": place(entry.get("url"))} for entry in value]
        elif name == "pip" and isinstance(value, dict):
            result[name] = _absolute(value, folder)
        else:
            result[name] = value
    return result


def render_toml(settings: Mapping[str, Any]) -> str:
    """The settings as TOML; what has no place there (dates aside) doesn't occur in settings read from TOML."""
    return "".join(f"{_key(name)} = {_value(value)}\n" for name, value in sorted(settings.items()))


def _key(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(value, ensure_ascii=False)
        case list():
            return f"[{', '.join(_value(each) for each in value)}]"
        case dict():
            return f"{{ {', '.join(f'{_key(name)} = {_value(each)}' for name, each in value.items())} }}"
        case int() | float():
            return repr(value)
        case _:  # dates and times
            return str(value.isoformat())
