"""What may pass between tasks, and how a value that may not is told."""

import datetime
import decimal
import enum
import json
import pathlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airdock.runner.inside import messages
from airdock.runner.inside.values import NotJsonError, check

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_json_goes_through_as_it_is(value: Any) -> None:
    check(value, "result", "it")
    assert json.loads(messages.encode(value)) == value
    assert messages.decode(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")) == value


def test_tuples_become_lists_and_numbers_as_keys_text() -> None:
    assert messages.decode(messages.encode({1: (2, 3)})) == {"1": [2, 3]}


class Colour(enum.Enum):
    RED = "r"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            {"a": [1, {"b": datetime.date(2020, 1, 1)}]},
            r"result['a'][1]['b'] is a `datetime.date`; return .isoformat()",
        ),
        ([datetime.timedelta(1)], "result[0] is a `datetime.timedelta`; return .total_seconds()"),
        ({1, 2}, "result is a `set`; return list() of it"),
        (b"x", "result is a `bytes`; return .decode(), or write it to a file in /workspace and return the path"),
        ([1.0, float("nan")], "result[1] is nan, which JSON lacks; return None or text"),
        ({(1, 2): 3}, "result has the key (1, 2), a `tuple`; keys are text"),
        (pathlib.Path("/x"), "result is a `pathlib.PosixPath`; return str() of it"),
        (decimal.Decimal(1), "result is a `decimal.Decimal`; return str() or float() of it"),
        ((each for each in ()), "result is a `generator`; return list() of it"),
        ({"x": Colour.RED}, "Colour`; return .value"),
        (object(), "result is a `object`; return text, numbers, lists and dicts"),
    ],
)
def test_the_first_part_that_is_not_json_is_named(value: Any, message: str) -> None:
    with pytest.raises(NotJsonError) as caught:
        check(value, "result", "what task 't' returned")
    assert str(caught.value).startswith("what task 't' returned isn't JSON: ")
    assert message in str(caught.value)


def test_a_value_that_contains_itself_is_told() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(NotJsonError, match="nested too deeply, or contains itself"):
        check(value, "result", "it")
