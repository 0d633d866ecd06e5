"""Kinds of task that load and say why they can't run."""

from typing import Any

import pytest

from airdock.dag.exceptions import AirflowFailException
from airdock.operators.elsewhere import DockerOperator, HITLOperator
from airdock.sdk import DAG


def test_they_load_and_say_so(running: Any) -> None:
    with DAG("d", default_args={"retries": 2}):
        docker = DockerOperator(task_id="a", image="alpine", command="true", retries=1)
        person = HITLOperator(task_id="b", subject="go?", options=["yes"])
    assert (docker.retries, docker.own_arguments) == (1, {"image": "alpine", "command": "true"})
    assert docker.work()["mode"] == "sdk"
    with pytest.raises(AirflowFailException, match="doesn't run a DockerOperator yet"):
        docker.execute(running(docker))
    with pytest.raises(AirflowFailException, match="nobody can be asked"):
        person.execute(running(person))
