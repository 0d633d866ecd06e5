"""Reference 4.3: each trigger rule over each pair of upstream states, and setups and teardowns."""

from itertools import combinations_with_replacement

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TriggerRule, task

STATES = ("success", "failed", "skipped", "upstream_failed")


@task
def upstream(ends):
    from airflow.exceptions import AirflowFailException, AirflowSkipException

    if ends == "failed":
        raise AirflowFailException("as it is to")
    if ends == "skipped":
        raise AirflowSkipException("as it is to")


with DAG("trigger_rules", schedule=None) as each_rule:
    tasks = {}
    for number in (1, 2):
        for state in STATES[:3]:
            tasks[state, number] = upstream.override(task_id=f"{state}{number}")(state)
        tasks["upstream_failed", number] = EmptyOperator(task_id=f"upstream_failed{number}")
        tasks["failed", number] >> tasks["upstream_failed", number]
    for rule in sorted(each for each in TriggerRule if each != TriggerRule.ALL_DONE_SETUP_SUCCESS):
        EmptyOperator(task_id=f"{rule.value}.none", trigger_rule=rule)
        for state in STATES:
            tasks[state, 1] >> EmptyOperator(task_id=f"{rule.value}.{state}", trigger_rule=rule)
        for one, other in combinations_with_replacement(STATES, 2):
            below = EmptyOperator(task_id=f"{rule.value}.{one}.{other}", trigger_rule=rule)
            [tasks[one, 1], tasks[other, 2]] >> below


def fails(task_id, **options):
    return BashOperator(task_id=task_id, bash_command="exit 1", **options)


def works(task_id, **options):
    return BashOperator(task_id=task_id, bash_command="true", **options)


def skips(task_id, **options):
    return BashOperator(task_id=task_id, bash_command="exit 99", **options)


for _name, _setup, _work in (
    ("all_work", works, works),
    ("setup_fails", fails, works),
    ("setup_skips", skips, works),
    ("work_fails", works, fails),
    ("work_skips", works, skips),
):
    with DAG(f"setup_and_teardown.{_name}", schedule=None):
        setup = _setup("setup").as_setup()
        work = _work("work")
        after = works("after_work")
        teardown = works("teardown").as_teardown(setups=setup)
        setup >> work >> after >> teardown
        work >> works("beside_teardown")
        teardown >> works("after_teardown")

with DAG("two_setups", schedule=None):
    setups = [works("one").as_setup(), fails("other").as_setup()]
    setups >> works("work") >> works("teardown").as_teardown(setups=setups)

with DAG("teardown_fails", schedule=None):
    works("setup").as_setup() >> works("work") >> fails("teardown").as_teardown()

with DAG("teardown_fails_the_run", schedule=None):
    works("work") >> fails("teardown").as_teardown(on_failure_fail_dagrun=True)

with DAG("only_teardown_succeeds", schedule=None):
    fails("work") >> works("teardown").as_teardown()

with DAG("indirect_setup", schedule=None):
    # A task that a setup is above of, though not directly, needs it to succeed whatever its own rule is.
    first = fails("setup").as_setup()
    last = works("last", trigger_rule="all_done")
    first >> works("between") >> last >> works("teardown").as_teardown(setups=first)

with DAG("fail_fast", schedule=None, fail_fast=True):
    BashOperator(task_id="fails", bash_command="sleep 10; exit 1")
    BashOperator(task_id="runs", bash_command="sleep 60") >> works("waits")
