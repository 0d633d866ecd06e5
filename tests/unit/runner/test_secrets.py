"""What a task was told in confidence isn't in its log."""

import json

import pytest

from airdock.model.outcome import Failed, Succeeded
from airdock.runner.secrets import Mask, find_secrets, is_sensitive


@pytest.mark.parametrize(
    ("name", "expected"),
    [("db_password", True), ("API_KEY", True), ("my-secret", True), ("Token", True), ("region", False), ("key", False)],
)
def test_names_of_secrets(name: str, expected: bool) -> None:
    assert is_sensitive(name) is expected


@pytest.mark.parametrize(
    ("request_", "value", "secrets"),
    [
        ({"op": "variable", "name": "door_password"}, "opensesame", {"opensesame"}),
        ({"op": "variable", "name": "door"}, "opensesame", set()),
        ({"op": "variable", "name": "door"}, '{"api_key": {"a": ["one11"]}, "x": "y"}', {"one11"}),
        ({"op": "variable", "name": "door_password"}, None, set()),
        ({"op": "connection"}, {"password": "p4ssw", "login": "me", "extra": '{"token": "t0ken"}'}, {"p4ssw", "t0ken"}),
        ({"op": "connection"}, {"password": None, "extra": "not json"}, set()),
        ({"op": "mask", "secret": ["a", {"b": "c"}]}, None, {"a", "c"}),
        ({"op": "xcom_get"}, "plain", set()),
    ],
)
def test_secrets_of_answers(request_: dict, value: object, secrets: set[str]) -> None:
    assert set(find_secrets(request_, value)) == secrets


def test_every_way_of_writing_a_secret_is_hidden() -> None:
    mask = Mask()
    secret = 'p@ss/"wörd"\nsecond line'
    assert mask.line(b"p@ss") == b"p@ss"
    mask.add([secret, "abc"])
    for shown in ('p@ss/"wörd"', "second line", json.dumps(secret.splitlines()[0])[1:-1], "p%40ss/%22w%C3%B6rd%22"):
        assert mask.line(f"<{shown}>".encode()) == b"<***>"
    assert mask.line(b"abc") == b"abc"  # too short: it would take half of every log away


def test_the_longer_of_two_secrets_is_hidden_whole() -> None:
    mask = Mask()
    mask.add(["hunter"])
    mask.add(["hunter-and-gatherer"])
    assert mask.line(b"hunter-and-gatherer hunter") == b"*** ***"


def test_reasons_are_masked() -> None:
    mask = Mask()
    assert mask.ending(Failed(reason="bad hunter22")) == Failed(reason="bad hunter22")
    mask.add(["hunter22"])
    assert mask.ending(Failed(reason="bad hunter22", retryable=False)) == Failed(reason="bad ***", retryable=False)
    assert mask.ending(Succeeded()) == Succeeded()
