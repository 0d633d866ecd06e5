"""Reference 4.6: tasks and groups that are mapped."""

from airflow.exceptions import AirflowSkipException
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, task, task_group


@task
def give(value):
    return value


@task
def show(**given):
    return {key: value for key, value in given.items() if key in {"a", "b", "c"}}


@task
def collect(values):
    return list(values)


@task
def add(a, b=0):
    return a + b


with DAG("mapped", schedule=None):
    show.override(task_id="cross").expand(a=[1, 2], b=["x", "y", "z"])
    show.override(task_id="of_dicts").expand(a={"k": 1, "l": 2})
    show.override(task_id="partly").partial(c="c").expand(a=[1, 2])
    show.override(task_id="kwargs").partial(c=3).expand_kwargs([{"a": 1, "b": 2}, {"a": 3}])
    show.override(task_id="kwargs_over").partial(a=3).expand_kwargs([{"b": 2}])
    numbers = give.override(task_id="numbers")([1, 2, 3])
    letters = give.override(task_id="letters")({"x": 10, "y": 20})
    show.override(task_id="of_xcoms").expand(a=numbers, b=letters)
    show.override(task_id="of_kwargs").expand_kwargs(give.override(task_id="dicts")([{"a": 1}, {"b": 2}]))
    collect(add.partial(b=10).expand(a=numbers))
    show.override(task_id="zipped").expand(a=numbers.zip(letters_list := give.override(task_id="pair")(["p", "q"])))
    show.override(task_id="zipped_longest").expand(a=numbers.zip(letters_list, fillvalue="-"))
    show.override(task_id="concatenated").expand(a=numbers.concat(letters_list))
    show.override(task_id="mapped_values").expand(a=numbers.map(lambda number: number * 2))

    def not_two(number):
        if number == 2:
            raise AirflowSkipException("not two")
        return number

    collect.override(task_id="without_two")(show.override(task_id="some_skipped").expand(a=numbers.map(not_two)))
    nothing = give.override(task_id="nothing")([])
    none_mapped = show.override(task_id="none_mapped").expand(a=nothing)
    none_mapped >> EmptyOperator(task_id="after_none") >> EmptyOperator(task_id="after_after_none")
    none_mapped >> EmptyOperator(task_id="after_none_all_done", trigger_rule="all_done")
    collect.override(task_id="collects_none", trigger_rule="all_done")(none_mapped)
    BashOperator.partial(task_id="commands", do_xcom_push=True).expand(bash_command=["echo a", "exit 99", "echo c"])
    BashOperator.partial(task_id="environments", bash_command="echo $A").expand(env=[{"A": "1"}, {"A": "2"}])
    PythonOperator.partial(task_id="op_args", python_callable=lambda *given: list(given)).expand(op_args=[[1], [2, 3]])
    show.override(task_id="named", map_index_template="{{ task.op_kwargs['a'] }}!").expand(a=[5, 6])

    @task(map_index_template="{{ mine }}")
    def named_later(a):
        from airflow.sdk import get_current_context

        get_current_context()["mine"] = f"named {a}"

    named_later.expand(a=[7])
    nested = add.override(task_id="nested").partial(b=1).expand(a=add.override(task_id="first").expand(a=numbers))
    collect.override(task_id="collect_nested")(nested)
    EmptyOperator.partial(task_id="empties").expand_kwargs([{}, {}])
    show.override(task_id="of_nothing_pushed").expand(
        a=BashOperator(task_id="pushes_no_list", bash_command="true", do_xcom_push=False).output
    )
    give.override(task_id="not_a_list")(3) >> EmptyOperator(task_id="beside")
    show.override(task_id="of_no_list").expand(a=give.override(task_id="pushes_a_number")(3))
    show.override(task_id="of_a_text").expand(a=give.override(task_id="pushes_a_text")("text"))

    @task
    def fails_for_two(a):
        if a == 2:
            raise ValueError(a)
        return a

    some = fails_for_two.expand(a=numbers)
    collect.override(task_id="collects_some", trigger_rule="all_done")(some)
    some >> [
        EmptyOperator(task_id="after_some"),
        EmptyOperator(task_id="one_did", trigger_rule="one_success"),
        EmptyOperator(task_id="one_did_not", trigger_rule="one_failed"),
    ]
    add.override(task_id="of_some").expand(a=some)

with DAG("mapped_groups", schedule=None):

    @task_group
    def pipeline(a):
        first = add.override(task_id="first")(a, 1)
        second = add.override(task_id="second")(first, 10)
        EmptyOperator(task_id="empty") << second
        return second

    collect.override(task_id="collected")(pipeline.expand(a=[1, 2, 3]))

    @task_group
    def breaks(a):
        @task
        def fails_for_two(a):
            if a == 2:
                raise ValueError(a)
            if a == 3:
                raise AirflowSkipException
            return a

        below = add.override(task_id="below")(fails_for_two(a), 1)
        add.override(task_id="always", trigger_rule="all_done")(a, 5) << below

    breaks.expand(a=give.override(task_id="given")([1, 2, 3])) >> EmptyOperator(task_id="after_breaks")

    @task_group
    def branching(a):
        @task.branch
        def choose(a):
            return "branching.small" if a < 2 else "branching.large"

        (
            choose(a)
            >> [
                EmptyOperator(task_id="small"),
                EmptyOperator(task_id="large"),
            ]
            >> EmptyOperator(task_id="join", trigger_rule="none_failed_min_one_success")
        )

    branching.expand(a=[1, 2])

    @task_group
    def short(a):
        @task.short_circuit
        def goes_on(a):
            return a > 1

        goes_on(a) >> EmptyOperator(task_id="next") >> EmptyOperator(task_id="then", trigger_rule="all_done")

    short.expand(a=[1, 2])

    @task_group
    def none_at_all(a):
        add.override(task_id="inner")(a) >> EmptyOperator(task_id="last")

    none_at_all.expand(a=give.override(task_id="empty_list")([])) >> EmptyOperator(task_id="after_none")

    @task_group
    def with_setup(a):
        up = BashOperator(task_id="up", bash_command="true").as_setup()
        down = BashOperator(task_id="down", bash_command="true").as_teardown(setups=up)
        up >> add.override(task_id="work")(a) >> down

    with_setup.expand(a=[1, 2])

    @task_group
    def of_kwargs(a, b):
        show.override(task_id="shown")(a=a, b=b)

    of_kwargs.expand_kwargs([{"a": 1, "b": 2}, {"a": 3, "b": 4}])

    @task_group
    def partly(a, b):
        show.override(task_id="shown")(a=a, b=b)

    partly.partial(b="all").expand(a=["x", "y"])
    total = collect.override(task_id="reduced_twice")
    total(pipeline.override(group_id="other_pipeline").expand(a=give.override(task_id="two")([5, 6])))
