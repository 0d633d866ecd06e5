"""Reference 4.5: priority weights by Airflow's rules and by authors' own."""

from collections.abc import Callable

import pytest

from airdock.dag.serialized import SerializedDag
from airdock.errors import DagError

Load = Callable[[str], SerializedDag]

HEAD = """
from airflow.sdk import DAG
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.task.priority_strategy import PriorityWeightStrategy

class Fixed(PriorityWeightStrategy):
    def __init__(self, weight=50):
        self.weight = weight
    def get_weight(self, ti):
        return self.weight + ti.task.priority_weight + ti.try_number
"""


@pytest.mark.parametrize(
    ("rule", "weights"),
    [
        ('"downstream"', [6, 5, 3]),
        ('"upstream"', [1, 3, 6]),
        ('"absolute"', [1, 2, 3]),
        ("Fixed()", [51, 52, 53]),
        ("Fixed(100)", [101, 102, 103]),
        ("Fixed", [51, 52, 53]),
        ('f"{__name__}.Fixed"', [51, 52, 53]),
    ],
)
def test_rules(load: Load, rule: str, weights: list[int]) -> None:
    dag = load(f"""{HEAD}
with DAG("d", default_args={{"weight_rule": {rule}}}):
    a, b, c = (EmptyOperator(task_id=name, priority_weight=n) for n, name in enumerate("abc", 1))
    a >> b >> c
""")
    assert [each.priority_weight for each in dag.tasks] == weights
    assert {each.weight_rule for each in dag.tasks} == {rule.strip('"') if "F" not in rule else "custom"}


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ('"sideways"', "expected weight_rule to be one of downstream, upstream, absolute or a PriorityWeightStrategy"),
        ('"nothing.Here"', "expected weight_rule 'nothing.Here' to be a class"),
        ("object()", "or a PriorityWeightStrategy, found <object"),
        ("Broken()", "weight_rule Broken failed: ZeroDivisionError"),
        ("Text()", "weight_rule Text failed: ValueError"),
    ],
)
def test_what_is_no_rule(load: Load, rule: str, says: str) -> None:
    with pytest.raises(DagError, match=says) as caught:
        load(f"""{HEAD}
class Broken(PriorityWeightStrategy):
    def get_weight(self, ti): return 1 / 0
class Text(PriorityWeightStrategy):
    def get_weight(self, ti): return "much"
with DAG("d"):
    EmptyOperator(task_id="a", weight_rule={rule})
""")
    assert "pipeline.py:" in caught.value.where


def test_a_rule_is_asked_for_each_try(load: Load) -> None:
    dag = load(f"""{HEAD}
class Less(PriorityWeightStrategy):
    def get_weight(self, ti):
        return max(3 - ti.try_number, 1)

with DAG("d"):
    EmptyOperator(task_id="less", weight_rule=Less())
    EmptyOperator(task_id="more", weight_rule=Fixed(), retries=20)
    EmptyOperator(task_id="same", priority_weight=7)
""")
    less, more, same = dag.tasks
    assert (less.priority_weight, less.later_weights) == (3, (2, 1))
    assert [less.weight(number) for number in (0, 1, 2, 3, 4, 99)] == [3, 3, 2, 1, 1, 1]
    assert len(more.later_weights) == 20
    assert (same.weight(1), same.weight(5), same.later_weights) == (7, 7, ())
    assert SerializedDag.from_dict(dag.to_dict()) == dag
