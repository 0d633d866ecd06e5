"""`WWW-Authenticate` as servers write it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airdock.remote.challenge import Challenge, parse_challenges


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('Basic realm="tests"', [Challenge("basic", {"realm": "tests"})]),
        (
            'Bearer realm="https://auth.example/token",service="a, b",scope="repository:x:pull,push"',
            [
                Challenge(
                    "bearer",
                    {"realm": "https://auth.example/token", "service": "a, b", "scope": "repository:x:pull,push"},
                )
            ],
        ),
        (
            'Bearer realm="r" , service=plain, Basic realm="b"',
            [Challenge("bearer", {"realm": "r", "service": "plain"}), Challenge("basic", {"realm": "b"})],
        ),
        (r'basic REALM="a \"quoted\" word"', [Challenge("basic", {"realm": 'a "quoted" word'})]),
        ("Negotiate", [Challenge("negotiate", {})]),
        ("Negotiate, Basic realm=x", [Challenge("negotiate", {}), Challenge("basic", {"realm": "x"})]),
        ("", []),
        ("@@@", []),
    ],
)
def test_challenges_are_read(header: str, expected: list[Challenge]) -> None:
    assert list(parse_challenges([header])) == expected


def test_every_header_counts() -> None:
    assert [found.scheme for found in parse_challenges(["Basic realm=a", "Bearer realm=b"])] == ["basic", "bearer"]


@given(st.lists(st.text(max_size=200), max_size=3))
def test_any_text_is_read_or_passed_over(headers: list[str]) -> None:
    for found in parse_challenges(headers):
        assert found.scheme == found.scheme.lower()
