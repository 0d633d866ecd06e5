"""Reference 4.6: branches, skips, short circuits, groups."""

from airflow.exceptions import AirflowSkipException
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.latest_only import LatestOnlyOperator
from airflow.providers.standard.operators.python import BranchPythonOperator, ShortCircuitOperator
from airflow.sdk import DAG, Label, TaskGroup, chain, cross_downstream, task, task_group


def empty(task_id, **options):
    return EmptyOperator(task_id=task_id, **options)


with DAG("branches", schedule=None):
    for _name, _chosen in {"one": "one.a", "two": ["two.a", "two.b"], "nothing": None, "no_list": []}.items():
        branch = BranchPythonOperator(task_id=_name, python_callable=lambda chosen=_chosen: chosen)
        below = [empty(f"{_name}.{each}") for each in "abc"]
        branch >> below >> empty(f"{_name}.join", trigger_rule="none_failed_min_one_success")
        below >> empty(f"{_name}.all")
    unknown = BranchPythonOperator(task_id="unknown", python_callable=lambda: "nowhere")
    unknown >> [empty("unknown.a"), empty("unknown.b")]
    wrong = BranchPythonOperator(task_id="wrong_type", python_callable=lambda: 3)
    wrong >> empty("wrong_type.a")
    outside = BranchPythonOperator(task_id="not_below", python_callable=lambda: "one.a")
    outside >> empty("not_below.a")

    # Not skipped, as it is also below the branch that is followed.
    both = BranchPythonOperator(task_id="both", python_callable=lambda: "both.a")
    both.set_downstream([empty("both.a"), empty("both.b")])
    both.dag.get_task("both.a") >> both.dag.get_task("both.b")

    @task.branch
    def to_a_group():
        return "group"

    with TaskGroup("group") as group:
        empty("root1") >> empty("leaf")
        empty("root2")
    with TaskGroup("other_group") as other_group:
        empty("root") >> empty("leaf")
    to_a_group() >> Label("labelled") >> [group, other_group]

    @task.branch
    def inside_a_group():
        return "inside.taken"

    with TaskGroup("inside") as inside:
        inside_a_group() >> [empty("taken"), empty("not_taken")]

with DAG("short_circuits", schedule=None):
    for _name, _options in {
        "goes_on": {"python_callable": lambda: "truthy"},
        "stops": {"python_callable": lambda: 0},
        "stops_direct": {"python_callable": lambda: None, "ignore_downstream_trigger_rules": False},
    }.items():
        short = ShortCircuitOperator(task_id=_name, **_options)
        short >> empty(f"{_name}.a") >> empty(f"{_name}.b", trigger_rule="all_done") >> empty(f"{_name}.c")
    stops = ShortCircuitOperator(task_id="before_teardown", python_callable=lambda: False)
    setup = BashOperator(task_id="setup", bash_command="true").as_setup()
    teardown = BashOperator(task_id="teardown", bash_command="true").as_teardown(setups=setup)
    setup >> stops >> empty("work") >> teardown

    @task.short_circuit
    def decorated():
        return []

    decorated() >> empty("after_decorated")

with DAG("latest_only", schedule=None):
    LatestOnlyOperator(task_id="latest") >> [empty("a"), empty("b", trigger_rule="all_done")]

with DAG("conditions", schedule=None):

    @task.run_if(lambda context: context["ti"].task_id == "runs")
    @task
    def runs():
        return 1

    @task.run_if(lambda context: (False, "not now"))
    @task
    def does_not_run():
        return 1

    @task.skip_if(lambda context: True)
    @task.bash
    def skipped():
        return "true"

    @task.skip_if(lambda context: False)
    @task
    def not_skipped():
        return 2

    runs() >> empty("after_runs")
    does_not_run() >> empty("after_does_not_run")
    skipped()
    not_skipped()

with DAG("groups", schedule=None):
    with TaskGroup("outer", default_args={"retries": 1}) as outer:
        with TaskGroup("inner", prefix_group_id=False):
            empty("plain_id")
        with TaskGroup("inner2"):
            empty("nested") >> empty("nested2")
        empty("own")
    first, last = empty("first"), empty("last")
    first >> outer >> last

    @task_group(group_id="decorated", tooltip="tip")
    def decorated(value):
        @task
        def double(number):
            return 2 * number

        @task
        def increment(number):
            return number + 1

        return increment(double(value))

    @task
    def show(number):
        return number

    show(decorated(3))
    show(decorated.override(group_id="again")(4))
    chain(empty("c1"), [empty("c2"), empty("c3")], [empty("c4"), empty("c5")], empty("c6"))
    cross_downstream([empty("x1"), empty("x2")], [empty("x3"), empty("x4")])


@task
def skip_self():
    raise AirflowSkipException


with DAG("skips_go_down", schedule=None):
    skipping = skip_self()
    skipping >> empty("skipped") >> empty("skipped_too") >> empty("runs", trigger_rule="none_failed")
    [skipping, empty("well")] >> empty("one_success", trigger_rule="one_success") >> empty("after")
