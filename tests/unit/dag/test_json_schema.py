"""The checker of params says what a whole validator says."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from airdock.dag.json_schema import find_mistakes

PEER = FormatChecker(["date", "email", "ipv4", "ipv6", "regex"])

SCALARS = st.none() | st.booleans() | st.integers(-4, 4) | st.sampled_from([0.5, 1.0, 2.5, "", "a", "ab", "2026-01-31"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
    max_leaves=6,
)
KIND = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])
SIZE = st.integers(0, 3)


def schemas() -> st.SearchStrategy[dict[str, Any]]:
    """Schemas of a few keywords each, one in the other."""
    plain = st.fixed_dictionaries(
        {},
        optional={
            "type": KIND | st.lists(KIND, min_size=1, max_size=3, unique=True),
            "enum": st.lists(SCALARS, min_size=1, max_size=3),
            "const": SCALARS,
            "minimum": st.integers(-3, 3),
            "maximum": st.integers(-3, 3),
            "exclusiveMinimum": st.integers(-3, 3),
            "exclusiveMaximum": st.integers(-3, 3),
            "multipleOf": st.sampled_from([1, 2, 0.5]),
            "minLength": SIZE,
            "maxLength": SIZE,
            "minItems": SIZE,
            "maxItems": SIZE,
            "minProperties": SIZE,
            "maxProperties": SIZE,
            "uniqueItems": st.booleans(),
            "pattern": st.sampled_from(["^a", "b$", "a|b", "."]),
            "format": st.sampled_from(["date", "email", "ipv4", "uuid"]),
            "required": st.lists(st.sampled_from(["a", "b"]), unique=True),
        },
    )
    return st.recursive(
        plain,
        lambda inner: st.fixed_dictionaries(
            {},
            optional={
                "items": inner | st.booleans(),
                "prefixItems": st.lists(inner, min_size=1, max_size=2),
                "properties": st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
                "patternProperties": st.dictionaries(st.sampled_from(["^a", "c"]), inner, max_size=2),
                "propertyNames": inner,
                "additionalProperties": inner | st.booleans(),
                "contains": inner,
                "allOf": st.lists(inner, min_size=1, max_size=2),
                "anyOf": st.lists(inner, min_size=1, max_size=2),
                "oneOf": st.lists(inner, min_size=1, max_size=2),
                "not": inner,
                "if": inner,
                "then": inner,
                "else": inner,
                "dependentRequired": st.dictionaries(
                    st.sampled_from(["a", "b"]), st.lists(st.sampled_from(["b", "c"]), unique=True), max_size=2
                ),
            },
        ),
        max_leaves=4,
    )


@settings(max_examples=400, deadline=None)
@given(schema=schemas(), value=VALUES)
def test_as_a_whole_validator(schema: dict[str, Any], value: Any) -> None:
    peer = Draft202012Validator(schema, format_checker=PEER)
    assert (not list(find_mistakes(value, schema))) == peer.is_valid(value)


@pytest.mark.parametrize(
    ("schema", "value", "says"),
    [
        ({"type": "integer"}, "1", "expected integer, found '1'"),
        ({"type": ["null", "string"]}, 1, "expected null or string, found 1"),
        ({"enum": [1, "a"]}, 2, "expected one of 1, 'a', found 2"),
        ({"minimum": 3}, 2, "expected at least 3, found 2"),
        ({"minLength": 3}, "ab", "expected a length of at least 3, found 2"),
        ({"format": "date"}, "31.1.2026", "expected a date, found '31.1.2026'"),
        ({"format": "date-time"}, "2026-01-31", "expected a date-time, found '2026-01-31'"),
        ({"format": "uuid"}, "no", "expected a uuid, found 'no'"),
        ({"format": "uuid"}, "12" * 16, f"expected a uuid, found '{'12' * 16}'"),
        ({"format": "time"}, "25:00", "expected a time, found '25:00'"),
        ({"items": {"type": "integer"}}, [1, "a"], "expected integer, found 'a' at [1]"),
        ({"properties": {"a": {"items": {"maximum": 1}}}}, {"a": [2]}, "expected at most 1, found 2 at a[0]"),
    ],
)
def test_what_it_says(schema: dict[str, Any], value: Any, says: str) -> None:
    assert list(find_mistakes(value, schema)) == [says]


@pytest.mark.parametrize("text", ["2026-01-31T10:00:00Z", "2026-01-31T10:00:00+01:00", "2026-01-31T10:00"])
def test_times(text: str) -> None:
    assert not list(find_mistakes(text, {"format": "date-time"}))
    assert not list(find_mistakes("10:30:00Z", {"format": "time"}))
    assert not list(find_mistakes("12345678-ABCD-5678-1234-567812345678", {"format": "uuid"}))
