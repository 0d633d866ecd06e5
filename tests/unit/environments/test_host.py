import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airdock.engine import HOST_LABEL
from airdock.environments.host import HostImage, python_folders
from airdock.environments.python import Interpreter, Pythons
from airdock.errors import EnvironmentFailedError
from airdock.images.calls import DirectCalls
from airdock.images.store import ImageStore

Make = Callable[..., HostImage]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ImageStore]:
    store = ImageStore(root=tmp_path / "images", calls=DirectCalls())
    yield store
    store.close()


@pytest.fixture
def make(tmp_path: Path, store: ImageStore, pythons: Pythons) -> Make:
    def make(folders: tuple[str, ...] | None = None) -> HostImage:
        return HostImage(images=store, pythons=pythons, memory=tmp_path / "memory", folders=folders)

    return make


def label_of(image) -> dict:
    return json.loads(image.labels[HOST_LABEL])


def test_the_host_image_is_named_and_remembered(make: Make, store: ImageStore) -> None:
    image = make().ensure()
    assert make().ensure() == image
    assert store.find("host") == image
    assert make().find("host") == make().find("host:latest") == image
    assert make().find("hosts") is None
    assert make().find("acme/host") is None


def test_it_is_made_again_where_it_was_removed(make: Make, store: ImageStore) -> None:
    image = make().ensure()
    store.remove("host")
    assert make().ensure().digest == image.digest


def test_what_is_bound(make: Make, tmp_path: Path) -> None:
    binds = label_of(make().ensure())["binds"]
    assert {"/usr", "/etc"} <= set(binds)
    assert all(Path(path).exists() for path in binds)
    inside = [Path(path) for path in binds]
    for needed in (sys.prefix, sys.base_prefix, Interpreter.current().path, *python_folders()):
        assert any(Path(needed).is_relative_to(path) for path in inside), needed
    assert not any(one != other and one.is_relative_to(other) for one in inside for other in inside)
    assert Path.home() not in inside
    assert Path("/") not in inside


def test_the_digest_follows_the_folders(make: Make, tmp_path: Path) -> None:
    (tmp_path / "packages").mkdir()
    plain, more = make(()).ensure().digest, make((str(tmp_path / "packages"),)).ensure().digest
    assert plain != more
    assert make(()).ensure().digest == plain
    assert make((str(tmp_path / "gone"),)).ensure().digest == plain


def test_the_digest_follows_what_is_installed(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status = tmp_path / "status"
    status.write_text("Package: a\nVersion: 1\n")
    monkeypatch.setattr("airdock.environments.host._PACKAGES", (str(status),))
    first = make().ensure().digest
    os.utime(status, (1, 1))
    assert make().ensure().digest == first
    status.write_text("Package: a\nVersion: 2\n")
    assert make().ensure().digest != first


def test_links_lead_through(make: Make, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    binds = label_of(make((str(tmp_path / "link"),)).ensure())["binds"]
    assert {str(tmp_path / "link"), str(tmp_path / "real")} <= set(binds)


def test_the_server_finds_its_own_programs_first(make: Make) -> None:
    variables = dict(entry.split("=", 1) for entry in make().ensure().config.env)
    assert variables["PATH"].split(":")[0] == f"{sys.prefix}/bin"


def test_another_python_comes_without_the_servers(make: Make, pythons: Pythons) -> None:
    others = [each for each in pythons.all() if each.prefix != sys.base_prefix]
    if not others:
        pytest.skip("there is only one Python on this machine")
    other = others[0]
    image = make().ensure(other.series)
    label = label_of(image)
    assert label["python"] == list(other.version)
    assert label["interpreter"] == other.path
    assert sys.prefix not in label["binds"] or sys.prefix.startswith("/usr")
    assert make().find(f"host:{other.series}") == image
    assert image.digest != make().ensure().digest


def test_a_python_that_is_not_here(make: Make) -> None:
    with pytest.raises(EnvironmentFailedError, match=r"expected a Python 3\.98 on this machine"):
        make().find("host:3.98")
    with pytest.raises(EnvironmentFailedError, match="expected python to be a version"):
        make().find("host:bookworm")


def test_only_labels_that_were_made_here_are_vouched_for(make: Make) -> None:
    label = make().ensure().labels[HOST_LABEL]
    assert make().made(label)
    assert not make().made(label.replace("/usr", "/home"))
