"""What becomes XComs of what a task returned."""

from typing import Any

import pytest

from airdock.runner.inside.instance import TaskInstance
from airdock.runner.inside.results import push
from airdock.runner.inside.values import NotJsonError

PAYLOAD = {"do_xcom_push": True, "multiple_outputs": False}
MANY = {**PAYLOAD, "multiple_outputs": True}


class Kept:
    """The channel's side that keeps XComs."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def ask(self, op: str, **fields: Any) -> None:
        assert op == "xcom_put"
        self.values[fields["key"]] = fields["value"]


def pushed(value: Any, payload: dict[str, bool], *, map_index: int = -1) -> dict[str, Any]:
    kept = Kept()
    key = {"dag_id": "d", "task_id": "t", "run_id": "r", "map_index": map_index, "try_number": 1}
    try:
        push(value, payload, TaskInstance(key, kept))
    except NotJsonError:
        assert kept.values == {}  # nothing is half done
        raise
    return kept.values


@pytest.mark.parametrize("map_index", [-1, 3])
def test_each_key_is_an_xcom_beside_the_whole(map_index: int) -> None:
    value = {"a": 1, "b": [2], "": None}
    assert pushed(value, PAYLOAD) == {"return_value": value}
    assert pushed(value, MANY, map_index=map_index) == {**value, "return_value": value}
    assert pushed({}, MANY) == {"return_value": {}}


def test_nothing_is_pushed_of_nothing_or_where_it_is_not_wanted() -> None:
    assert pushed(None, PAYLOAD) == pushed(None, MANY) == {}
    assert pushed({"a": 1}, {**MANY, "do_xcom_push": False}) == {}


@pytest.mark.parametrize("value", [[1], "text", 3, [("a", 1)]])
def test_what_is_no_dict_is_told(value: Any) -> None:
    with pytest.raises(NotJsonError, match=f"is {type(value).__name__}: expected a dict, because of multiple_outputs"):
        pushed(value, MANY)
    assert pushed(value, PAYLOAD) == {"return_value": value}


def test_a_key_that_is_no_text_is_told_before_any_is_pushed() -> None:
    with pytest.raises(NotJsonError, match="has the key 1: expected text"):
        pushed({"a": 1, 1: 2}, MANY)


OVER = {**PAYLOAD, "mapped_over": True}


@pytest.mark.parametrize(("value", "found"), [("text", "str"), (None, "nothing"), (3, "int"), (True, "bool")])
def test_what_others_are_mapped_over_is_a_list_or_a_dict(value: Any, found: str) -> None:
    with pytest.raises(NotJsonError, match=f"others are mapped over what task 't' returns: .* found {found}$"):
        pushed(value, OVER)
    assert pushed([1], OVER) == {"return_value": [1]}
    assert pushed({"a": 1}, {**OVER, "multiple_outputs": True}) == {"a": 1, "return_value": {"a": 1}}
    assert pushed(value, OVER, map_index=2) == ({} if value is None else {"return_value": value})


def test_what_is_not_pushed_can_not_be_mapped_over() -> None:
    with pytest.raises(NotJsonError, match="found nothing"):
        pushed([1], {**OVER, "do_xcom_push": False})
