"""ContainerOperator: an image's own program."""

import pytest

from airdock.errors import DagError
from airdock.operators.container import ContainerOperator
from airdock.sdk import DAG


def make(**arguments: object) -> ContainerOperator:
    with DAG("d"):
        made: ContainerOperator = ContainerOperator(task_id="c", **arguments)
    return made


def test_without_a_command_the_image_says_what_runs() -> None:
    work = make(image="hello").work()
    assert (work["mode"], work["argv"], work["env"]) == ("command", (), {})
    assert work["payload"] == {"push_last_line": True, "skip_exit_code": []}


def test_text_is_split_as_a_shell_would() -> None:
    work = make(image="x", command="run --name 'a b'", entrypoint=["sh", "-c"], environment={"A": "1"}).work()
    assert work["argv"] == ("run", "--name", "a b")
    assert work["env"] == {"A": "1"}
    assert work["payload"]["entrypoint"] == ["sh", "-c"]


def test_codes_that_skip_and_no_result() -> None:
    payload = make(image="x", skip_on_exit_code=3, do_xcom_push=False).work()["payload"]
    assert payload == {"push_last_line": False, "skip_exit_code": [3]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "needs image= or dockerfile=, found neither"),
        ({"image": "x", "command": [1]}, "expected command to be text or a list of text"),
        ({"image": "x", "environment": {"A": 1}}, "expected the variables of a container to be text, found 'A': 1"),
        ({"image": "x", "skip_on_exit_code": "3x"}, "expected skip_on_exit_code to be a number"),
    ],
)
def test_wrong_arguments_are_told(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(DagError, match=message):
        make(**arguments).work()
