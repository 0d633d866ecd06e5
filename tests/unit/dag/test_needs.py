"""What a task says it needs, read and refused."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airdock.dag.needs import parse_memory, read_environment, read_resources
from airdock.errors import DagError
from airdock.model.environment import Environment
from airdock.model.usage import Resources

NOTHING: dict[str, Any] = dict.fromkeys(("image", "dockerfile", "requirements", "python", "memory", "cpus"))


def read(folder: Path, **needs: object) -> Environment:
    return read_environment({**NOTHING, **needs}, dag_file=folder / "dag.py", where="dag.py:1")


def test_nothing_is_the_host_image(tmp_path: Path) -> None:
    assert read(tmp_path).is_host


def test_a_dockerfile_is_relative_to_the_dag_file(tmp_path: Path) -> None:
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "Dockerfile").write_text("FROM scratch")
    expected = Environment(dockerfile=str(tmp_path / "image" / "Dockerfile"))
    assert read(tmp_path, dockerfile="image/Dockerfile") == read(tmp_path, dockerfile="image") == expected
    with pytest.raises(DagError, match="there is no Dockerfile at") as caught:
        read(tmp_path, dockerfile="other/Dockerfile")
    assert str(tmp_path) in caught.value.hint


def test_requirements_are_a_list_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("# all of it\na==1  # why\n\nb @ https://x/y#egg=b\n")
    assert read(tmp_path, requirements="requirements.txt").requirements == ("a==1", "b @ https://x/y#egg=b")
    assert read(tmp_path, requirements=["a==1"]).requirements == ("a==1",)
    assert read(tmp_path, requirements=[]) == Environment(requirements=())
    with pytest.raises(DagError, match="there is no requirements file") as caught:
        read(tmp_path, requirements="pandas==2")
    assert caught.value.hint == "a single requirement is written in a list: ['pandas==2']"


@pytest.mark.parametrize(
    ("needs", "message"),
    [
        ({"image": "a", "requirements": ["b"]}, "expected one of image, dockerfile and requirements, found image and"),
        ({"image": "a", "python": "3.9"}, "python='3.9' has no effect with image"),
        ({"python": 3.9}, "expected python to be a version"),
        ({"python": "2.7"}, "expected python to be a version"),
        ({"image": 5}, "expected image to be the name of an image, found 5"),
        ({"requirements": [1]}, "expected requirements to be a list"),
    ],
)
def test_what_can_not_be_is_refused(tmp_path: Path, needs: dict[str, object], message: str) -> None:
    with pytest.raises(DagError, match=message) as caught:
        read(tmp_path, **needs)
    assert caught.value.where == "dag.py:1"


@pytest.mark.parametrize(
    ("text", "size"),
    [("512MB", 512_000_000), ("512m", 512_000_000), ("2GiB", 2 * 2**30), ("1.5Gi", 3 * 2**29), ("64 kb", 64_000),
     ("100", 100), ("100B", 100), (4096, 4096)],
)  # fmt: skip
def test_memory_is_bytes_or_text_with_a_unit(text: str | int, size: int) -> None:
    assert parse_memory(text) == size


@given(st.one_of(st.text(), st.floats(), st.booleans(), st.integers(max_value=0), st.none()))
def test_memory_is_a_size_or_an_error(value: object) -> None:
    try:
        assert parse_memory(value) >= 0
    except DagError as error:
        assert repr(value) in error.message


def test_cpus_are_above_zero() -> None:
    assert read_resources({**NOTHING, "cpus": 2, "memory": "1GB"}, where="") == Resources(memory_bytes=10**9, cpus=2.0)
    with pytest.raises(DagError, match=r"expected cpus to be a number above 0, like 1\.5, found 'two'"):
        read_resources({**NOTHING, "cpus": "two"}, where="")
