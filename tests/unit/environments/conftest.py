"""Folders that look like a machine with settings of its own, and environments as virtual ones."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from airdock.environments.index import IndexSettings, load_index_settings
from airdock.environments.python import Pythons
from airdock.model.progress import Progress


@pytest.fixture
def machine(tmp_path: Path) -> Callable[..., IndexSettings]:
    """Writes files below a pretended root folder ("~" is the user's home) and loads the settings they make."""

    def load(files: Mapping[str, str] | None = None, environ: Mapping[str, str] | None = None) -> IndexSettings:
        for name, text in (files or {}).items():
            path = tmp_path / name.replace("~", "home").lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return load_index_settings(environ=environ or {}, home=tmp_path / "home", root=tmp_path)

    return load


@pytest.fixture
def pythons(tmp_path: Path) -> Pythons:
    return Pythons(memory=tmp_path / "pythons.json", home=Path.home(), path=os.environ["PATH"])


@pytest.fixture
def told() -> list[Progress]:
    """Everything that was reported."""
    return []
