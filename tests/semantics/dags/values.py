"""Reference 4.7: XComs, templates, params and the context."""

from datetime import timedelta

import pendulum
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, Param, get_current_context, literal, task

START = pendulum.datetime(2026, 1, 5, 6, 7, 8, tz="UTC")
TEMPLATES = {
    "ds": "{{ ds }} {{ ds_nodash }} {{ ts }} {{ ts_nodash }} {{ ts_nodash_with_tz }}",
    "filters": "{{ logical_date | ds }} {{ logical_date | ds_nodash }} {{ logical_date | ts }}"
    " {{ logical_date | ts_nodash }} {{ logical_date | ts_nodash_with_tz }}",
    "interval": "{{ data_interval_start }} {{ data_interval_end }}",
    "macros": "{{ macros.ds_add(ds, 5) }} {{ macros.ds_format(ds, '%Y-%m-%d', '%d.%m.%y') }}"
    " {{ macros.timedelta(days=1) }} {{ macros.datetime(2026, 1, 2) }} {{ macros.json.dumps([1]) }}"
    " {{ macros.dateutil.parser.parse('2026-01-02') }} {{ macros.uuid.UUID(int=1) }}",
    "humans": "{{ macros.datetime_diff_for_humans(macros.datetime(2026, 1, 2), macros.datetime(2026, 1, 5)) }}",
    "run": "{{ run_id }} {{ dag_run.run_id }} {{ dag_run.run_type }} {{ dag_run.conf }} {{ dag_run.logical_date }}",
    "dag": "{{ dag.dag_id }} {{ dag }} {{ dag_run.dag_id }}",
    "task": "{{ task.task_id }} {{ task }} {{ task.owner }} {{ task.retries }} {{ task.pool }}",
    "ti": "{{ ti.task_id }} {{ ti.dag_id }} {{ ti.run_id }} {{ ti.try_number }} {{ ti.map_index }} {{ ti.max_tries }}",
    "key": "{{ task_instance_key_str }}",
    "params": "{{ params.number + 1 }} {{ params['text'] }} {{ params }}",
    "inlets": "{{ inlets }} {{ outlets }}",
    "none": "{{ prev_data_interval_start_success }} {{ prev_start_date_success }} {{ expanded_ti_count }}",
    "list": ["{{ 1 }}", ("{{ 2 }}", {"{{ 'k' }}": "{{ 3 }}"})],
    "number": 7,
    "nothing": None,
    "pendulum": "{{ logical_date.add(days=1).format('YYYY-MM-DD') }} {{ logical_date.int_timestamp }}",
    "zone": "{{ logical_date.timezone }} {{ logical_date.in_timezone('Europe/Berlin') }}",
    "arithmetic": "{{ data_interval_end - macros.timedelta(hours=1) }}",
    "joined": "{{ ['a', 'b'] | join('-') }}{% for n in range(2) %}{{ n }}{% endfor %}",
    "pulled": "{{ ti.xcom_pull('pushes') }} {{ ti.xcom_pull(task_ids='pushes', key='k') }}"
    " {{ ti.xcom_pull(task_ids=['pushes', 'nobody']) }} {{ ti.xcom_pull('nobody') }}",
    "schedule": "{{ task_reschedule_count }}",
}


def same(value):
    return str(value)


NAMES = """
dag dag_run task ti task_instance run_id params macros var conn inlets outlets inlet_events
outlet_events map_index_template task_instance_key_str triggering_asset_events logical_date ds
ds_nodash ts ts_nodash data_interval_start data_interval_end templates_dict prev_start_date_success
prev_end_date_success execution_date next_ds yesterday_ds conf prev_data_interval_start_success
prev_data_interval_end_success task_reschedule_count ts_nodash_with_tz partition_key exception
reason
""".split()  # noqa: SIM905  a list of forty lines says no more


def given_and_kind(value):
    return [type(value).__name__, value]


with DAG(
    "templates",
    schedule=None,
    start_date=START,
    params={"number": 3, "text": Param("some", type="string"), "maybe": Param(None, type=["null", "string"])},
    user_defined_macros={"mine": lambda text: text.upper(), "constant": 5},
    user_defined_filters={"twice": lambda text: text * 2},
):
    pushes = BashOperator(task_id="pushes", bash_command="echo pushed")
    for _name, _text in TEMPLATES.items():
        pushes >> PythonOperator(task_id=_name, python_callable=same, op_kwargs={"value": _text})
    PythonOperator(
        task_id="own", python_callable=same, op_kwargs={"value": "{{ mine('x') }} {{ 'y' | twice }} {{ constant }}"}
    )
    PythonOperator(task_id="literal", python_callable=same, op_kwargs={"value": literal("{{ ds }}")})
    PythonOperator(task_id="undefined", python_callable=same, op_kwargs={"value": "{{ nobody }}"})
    PythonOperator(task_id="undefined_within", python_callable=same, op_kwargs={"value": "{{ params.nobody }}"})
    PythonOperator(task_id="gone", python_callable=same, op_kwargs={"value": "{{ execution_date }}"})
    PythonOperator(task_id="no_variable", python_callable=same, op_kwargs={"value": "{{ var.value.nobody }}"})
    PythonOperator(
        task_id="variable_or", python_callable=same, op_kwargs={"value": "{{ var.value.get('nobody', 'or') }}"}
    )
    PythonOperator(task_id="no_connection", python_callable=same, op_kwargs={"value": "{{ conn.nobody.host }}"})
    PythonOperator(
        task_id="templates_dict",
        python_callable=lambda templates_dict: templates_dict,
        templates_dict={"a": "{{ ds_nodash | length }}"},
    )
    PythonOperator(task_id="positional", python_callable=lambda *given: list(given), op_args=["{{ 1 + 1 }}", "b"])
    BashOperator(
        task_id="of_context", bash_command="echo $AIRFLOW_CTX_DAG_ID $AIRFLOW_CTX_TASK_ID $AIRFLOW_CTX_TRY_NUMBER"
    )

with DAG("native", schedule=None, render_template_as_native_obj=True):
    for _name, _text in {
        "list": "{{ [1, 2] }}",
        "number": "{{ 1 + 1 }}",
        "text": "{{ 'a' }}",
        "mixed": "a{{ 1 }}",
        "dict": "{{ {'a': 1} }}",
        "json": '{"a": 1}',
        "nothing": "{{ none }}",
        "true": "{{ true }}",
        "zero": "{{ '007' }}",
    }.items():
        PythonOperator(task_id=_name, python_callable=given_and_kind, op_args=[_text])

with DAG("xcoms", schedule=None):

    @task
    def one(ti):
        ti.xcom_push("key", {"a": [1, None, True, 1.5, "ü"]})
        ti.xcom_push(key="null", value=None)
        return "one"

    @task(multiple_outputs=True)
    def several():
        return {"a": 1, "b": [2], "c": None}

    @task
    def by_annotation() -> dict[str, int]:
        return {"a": 1, "b": 2}

    @task(do_xcom_push=False)
    def keeps():
        return "kept"

    @task
    def nothing():
        return None

    @task
    def mapped(number):
        return number * 2

    @task
    def pulls(ti):
        return {
            "own": ti.xcom_pull(),
            "one": ti.xcom_pull("one"),
            "key": ti.xcom_pull(task_ids="one", key="key"),
            "null": ti.xcom_pull(task_ids="one", key="null"),
            "no_key": ti.xcom_pull(task_ids="one", key="nobody"),
            "default": ti.xcom_pull(task_ids="one", key="nobody", default="default"),
            "two": ti.xcom_pull(task_ids=["one", "several"]),
            "kept": ti.xcom_pull("keeps"),
            "nothing": ti.xcom_pull("nothing"),
            "part": ti.xcom_pull(task_ids="several", key="b"),
            "mapped": list(ti.xcom_pull("mapped")),
            "mapped_one": ti.xcom_pull("mapped", map_indexes=1),
            "mapped_some": list(ti.xcom_pull("mapped", map_indexes=[2, 0])),
            "mapped_beyond": ti.xcom_pull("mapped", map_indexes=9),
            "mapped_listed": list(ti.xcom_pull(["mapped", "one"])),
            "nobody": ti.xcom_pull("nobody"),
            "elsewhere": ti.xcom_pull("one", dag_id="nowhere"),
        }

    @task
    def args(first, second, *, third="default"):
        return [first, second, third]

    parts = several()
    [one(), parts, by_annotation(), keeps(), nothing(), mapped.expand(number=[1, 2, 3])] >> pulls()
    args(parts["a"], parts["b"], third={"in": [parts["a"]]})

    @task
    def not_json():
        return object()

    @task(multiple_outputs=True)
    def no_dict():
        return [1]

    @task(multiple_outputs=True)
    def no_text_keys():
        return {1: 2}

    not_json()
    no_dict()
    no_text_keys()

    @task
    def kinds():
        return [(1, 2), {"b": 1, "a": 2}]

    @task
    def kinds_found(value):
        return [type(each).__name__ for each in value]

    kinds_found(kinds())

with DAG("context", schedule=None, params={"a": 1}, tags=["t"], owner_links={}, default_args={"owner": "me"}):

    @task
    def keys(**context):
        return sorted(key for key in NAMES if key in context)

    @task
    def named(ds, ti, params, dag_run, run_id=None, task=None, other="own"):
        context = get_current_context()
        return [len(ds), ti.task_id, dict(params), dag_run.run_id, run_id, task.task_id, other, context["ds"] == ds]

    @task(params={"b": 2, "a": 3})
    def own_params(params):
        return dict(params)

    @task
    def of_dag(dag, dag_run, task, ti):
        return [
            dag.dag_id,
            sorted(dag.tags),
            len(dag.task_ids),
            dag_run.state,
            task.owner,
            str(task.retry_delay),
            ti.start_date <= pendulum.now("UTC"),
            ti.state,
            ti.hostname is not None,
            sorted(task.upstream_task_ids),
            sorted(task.downstream_task_ids),
        ]

    keys()
    named()
    own_params()
    of_dag()

with DAG(
    "params",
    schedule=None,
    params={
        "least": Param(5, type="integer", minimum=1),
        "chosen": Param("a", enum=["a", "b"]),
        "day": Param("2026-01-01", type="string", format="date"),
        "list": Param([1], type="array"),
        "plain": {"nested": [1]},
    },
):

    @task
    def shown(params):
        return dict(params)

    shown()

with DAG("dates", schedule=timedelta(days=1), start_date=START, end_date=START + timedelta(days=2), catchup=True):

    @task
    def seen(ti, logical_date, data_interval_start, data_interval_end, dag_run, prev_data_interval_start_success=None):
        return [
            str(logical_date),
            str(data_interval_start),
            str(data_interval_end),
            dag_run.run_type,
            str(dag_run.run_after),
            type(logical_date).__name__,
        ]

    @task(depends_on_past=True)
    def before(ti):
        return [ti.xcom_pull("before", include_prior_dates=True), str(ti.get_previous_dagrun() and 1)]

    seen()
    before()
