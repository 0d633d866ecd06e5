"""Records are what the standard library makes of the same class: in every way that somebody could notice."""

import copy
import dataclasses
import importlib
import inspect
import pickle
from collections.abc import Callable
from contextlib import suppress
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import pytest

import airdock
from airdock.record import record

standard = dataclass(frozen=True, kw_only=True, slots=True)
T = TypeVar("T")


@record
class Point:
    """Somewhere."""

    x: int
    y: int = 0
    tags: list[str] = field(default_factory=list)

    @property
    def sum(self) -> int:
        return self.x + self.y


@record
class Point3(Point):
    z: int = 0


@pytest.fixture(params=[record, standard], ids=["record", "standard"])
def make(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_values_come_by_keyword_with_defaults(make: Any) -> None:
    @make
    class Value:
        a: int
        b: str = "b"
        c: list[int] = field(default_factory=list)

    value, other = Value(a=1), Value(a=1, b="x", c=[2])
    assert (value.a, value.b, value.c) == (1, "b", [])
    assert (other.b, other.c) == ("x", [2])
    assert value.c is not Value(a=1).c
    with pytest.raises(TypeError):
        Value(1)
    with pytest.raises(TypeError):
        Value()
    with pytest.raises(TypeError):
        Value(a=1, d=2)
    assert repr(other).endswith("Value(a=1, b='x', c=[2])")
    assert Value.__match_args__ == ()


def test_values_are_frozen_and_have_slots_only(make: Any) -> None:
    @make
    class Value:
        a: int = 0

    value = Value()
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'a'"):
        value.a = 1
    with pytest.raises(FrozenInstanceError, match="cannot delete field 'a'"):
        del value.a
    with pytest.raises((FrozenInstanceError, TypeError)):
        value.other = 1
    assert not hasattr(value, "__dict__")


def test_equality_and_hash_go_by_class_and_values(make: Any) -> None:
    @make
    class One:
        a: int
        b: tuple[int, ...] = ()

    @make
    class Two:
        a: int
        b: tuple[int, ...] = ()

    assert One(a=1) == One(a=1, b=())
    assert One(a=1) != One(a=2)
    assert One(a=1) != Two(a=1)
    assert hash(One(a=1, b=(2,))) == hash((1, (2,)))
    with pytest.raises(TypeError, match="unhashable"):
        hash(One(a=[]))


@pytest.mark.parametrize("value", [0, 7], ids=["default", "given"])
def test_one_field_and_none_at_all(make: Any, value: int) -> None:
    @make
    class One:
        a: int = 0

    @make
    class Nothing:
        pass

    assert hash(One(a=value)) == hash((value,))
    assert One(a=value) == One(a=value)
    assert Nothing() == Nothing()
    assert hash(Nothing()) == hash(())
    assert repr(Nothing()).endswith("Nothing()")


def test_own_methods_are_kept(make: Any) -> None:
    @make
    class Value:
        a: int

        def __post_init__(self) -> None:
            if self.a < 0:
                raise ValueError("negative")

        def __eq__(self, other: object) -> bool:
            return True

        def __repr__(self) -> str:
            return "own"

    assert Value(a=1) == "anything"
    assert repr(Value(a=1)) == "own"
    assert hash(Value(a=1)) == hash((1,))
    with pytest.raises(ValueError, match="negative"):
        Value(a=-1)


def test_bases_give_fields_and_contracts(make: Any) -> None:
    class Named(Protocol):
        def name(self) -> str: ...

    @make
    class Base(Generic[T]):
        a: T
        b: int = 1

        def name(self) -> str:
            return "base"

    @make
    class Child(Base[str]):
        b: int = 2
        c: int = 3

    child: Named = Child(a="x")
    assert child.name() == "base"
    assert asdict(Child(a="x")) == {"a": "x", "b": 2, "c": 3}
    assert [each.name for each in fields(Child)] == ["a", "b", "c"]
    assert Child(a="x", b=1, c=1) != Base(a="x", b=1)


def test_dataclass_functions_and_copies_take_records() -> None:
    point = Point(x=1, tags=["a"])
    assert dataclasses.is_dataclass(point)
    assert replace(point, y=5) == Point(x=1, y=5, tags=["a"])
    assert asdict(point) == {"x": 1, "y": 0, "tags": ["a"]}
    assert pickle.loads(pickle.dumps(point)) == point
    assert copy.deepcopy(point) == point
    assert copy.deepcopy(point).tags is not point.tags
    assert (point.sum, Point.__doc__, Point.__module__) == (1, "Somewhere.", __name__)
    assert pickle.loads(pickle.dumps(Point3(x=1, z=2))) == Point3(x=1, z=2)


def _records() -> list[type]:
    root = Path(airdock.__file__).parent
    names = [".".join(("airdock", *path.relative_to(root).with_suffix("").parts)) for path in root.rglob("*.py")]
    modules = [
        importlib.import_module(name)
        for name in sorted(names)
        if ".inside" not in name and ".migrations" not in name and not name.endswith("__main__")
    ]
    found = {value for module in modules for value in vars(module).values() if dataclasses.is_dataclass(value)}
    return sorted((each for each in found if isinstance(each, type)), key=lambda each: each.__qualname__)


def test_every_record_is_called_as_its_fields_say() -> None:
    kinds = _records()
    assert len(kinds) > 100
    for kind in kinds:
        assert _shape(kind) == _shape(_make_expected(kind)), kind


def _make_expected(kind: type) -> Callable[..., Any]:
    made: Callable[..., Any] = dataclasses.make_dataclass(
        kind.__name__,
        [
            (each.name, Any, field(default=each.default, default_factory=each.default_factory, kw_only=each.kw_only))
            for each in fields(kind)
            if each.init
        ],
    )

    return made


def _shape(called: Callable[..., Any]) -> list[tuple[str, Any, bool]]:
    with suppress(TypeError):
        called(**{"no such field": 1})  # a record's signature is made with its first value
    parameters = inspect.signature(called).parameters.values()
    return [(each.name, each.kind, each.default is inspect.Parameter.empty) for each in parameters]
