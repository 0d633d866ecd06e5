"""Bases that others remove while a build begins."""

from collections.abc import Callable

import pytest

from airdock.builder.base import Command
from airdock.images.calls import DirectCalls
from airdock.images.image import Image
from airdock.images.leases import Leases
from airdock.images.store import ImageStore
from airdock.oci.config import ImageConfig
from airdock.oci.digest import Digest

from .conftest import BASE, Bench, pack


@pytest.fixture
def other(bench: Bench) -> ImageStore:
    """The same images, as another process sees them."""
    return ImageStore(root=bench.store.root, calls=DirectCalls())


def make_base(store: ImageStore) -> Image:
    """A base that nobody keeps: who made it has ended."""
    maker = ImageStore(root=store.root, calls=DirectCalls())
    image = maker.put_image(ImageConfig(architecture="amd64"), [maker.commit_tar(pack(BASE))])
    maker.tag("base", image.digest)
    maker.close()
    return image


def test_a_base_that_is_removed_once_it_was_found_is_looked_for_anew(bench: Bench, other: ImageStore) -> None:
    finds = []

    def find(name: str, **_: object) -> Image:
        finds.append(name)
        image = make_base(bench.store)
        if len(finds) == 1:
            other.remove(name)
        return image

    image = bench.build("FROM base\nWORKDIR /a\nCOPY --chown=airflow <<E /b\nhi\nE\n", find=find)
    assert finds == ["base", "base"]
    assert bench.text(image, "b") == "hi\n"


def test_a_base_stays_while_it_is_built_upon_and_no_longer(bench: Bench, other: ImageStore) -> None:
    layer = make_base(bench.store).layers[0]

    def prune(command: Command, output: Callable[[bytes], None]) -> dict[str, str | None]:
        other.remove("base", force=True)
        other.prune()
        assert bench.store.layer_path(layer.diff_id).is_dir()
        return {"out": "made"}

    bench.programs["prune"] = prune
    bench.build("FROM base\nRUN prune\nCOPY --chown=airflow <<E /b\nhi\nE\n")
    assert not any(owner.startswith("build ") for owner in leases_of(other).values())


def leases_of(store: ImageStore) -> dict[Digest, str]:
    return Leases(folder=store.root / "leases").held()
