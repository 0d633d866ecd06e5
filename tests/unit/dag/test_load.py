"""Loading a DAG file: what comes out, and what every kind of broken file is told."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from airdock.dag.load import find_dag_file, load_dag_file, main
from airdock.dag.serialized import SerializedDag
from airdock.errors import CycleError, DagError, DagFileError, DuplicateTaskError, NotPortableError

Load = Callable[[str], SerializedDag]

GOOD = """
    from airdock.sdk import DAG, task

    @task
    def work():
        return 1

    with DAG("good", schedule=None):
        work()
"""


def test_tasks_come_in_topological_order_with_their_upstream(load: Load) -> None:
    dag = load("""
        from airdock.operators.empty import EmptyOperator
        from airdock.sdk import DAG

        with DAG("d", max_active_tasks=3, tags=["b", "a"], params={"n": 1}, schedule="@daily") as dag:
            last, first = EmptyOperator(task_id="last"), EmptyOperator(task_id="first", priority_weight=5)
            first >> last
    """)
    assert [(each.task_id, each.upstream, each.mode) for each in dag.tasks] == [
        ("first", (), "none"),
        ("last", ("first",), "none"),
    ]
    assert [each.priority_weight for each in dag.tasks] == [6, 1]
    assert (dag.max_active_tasks, dag.tags, dag.params, dag.schedule) == (3, ("a", "b"), {"n": 1}, "@daily")
    assert dag.source_digest.startswith("sha256:")
    assert SerializedDag.from_dict(json.loads(json.dumps(dag.to_dict()))) == dag


def test_everything_about_a_task_is_resolved(load: Load) -> None:
    dag = load("""
        from datetime import timedelta
        from airdock.sdk import DAG, task

        @task(retries=2, retry_delay=timedelta(minutes=1), retry_exponential_backoff=True, max_retry_delay=600,
              execution_timeout=30, trigger_rule="all_done", pool="p", pool_slots=2, queue="q", executor="local",
              requirements=["a==1", " "], python="3.9", memory="512MB", cpus=1.5, max_active_tis_per_dag=4)
        def work(x):
            return x

        with DAG("d"):
            work(1)
    """)
    (task,) = dag.tasks
    assert (task.retries, task.retry_delay_s, task.retry_exponential_backoff, task.max_retry_delay_s) == (2, 60, 2, 600)
    assert (task.execution_timeout_s, task.trigger_rule, task.pool, task.pool_slots) == (30, "all_done", "p", 2)
    assert (task.queue, task.executor, task.max_active_tis_per_dag) == ("q", "local", 4)
    assert (task.environment.requirements, task.environment.python) == (("a==1",), "3.9")
    assert (task.resources.memory_bytes, task.resources.cpus) == (512_000_000, 1.5)
    assert (task.mode, task.operator, task.payload["args"]) == ("bare", "@task", [1])
    assert task.payload["execution_timeout_s"] == 30


def test_a_task_on_the_host_image_is_imported_again_where_it_runs(load: Load, tmp_path: Path) -> None:
    (task,) = load(GOOD).tasks
    assert task.mode == "sdk"
    assert task.payload["fileloc"] == str(tmp_path / "pipeline.py")
    assert str(tmp_path) in task.payload["paths"]
    assert task.environment.is_host


def test_a_mapped_task_says_how_many_or_who_knows(load: Load) -> None:
    dag = load("""
        from airdock.sdk import DAG, task

        @task
        def numbers():
            return [1, 2]

        @task
        def add(x, y):
            return x + y

        with DAG("d"):
            add.expand(x=numbers(), y=[1, 2, 3])
    """)
    task = dag.task("add")
    assert task.is_mapped
    assert task.expand == {"x": {"xcom": "numbers", "key": "return_value"}, "y": {"length": 3}}
    assert task.upstream == ("numbers",)


def test_a_bare_mapped_task_takes_the_values_along(load: Load) -> None:
    dag = load("""
        from airdock.sdk import DAG, task

        @task
        def numbers():
            return [1, 2]

        @task(requirements=[])
        def add(x, y, z):
            return x + y

        with DAG("d"):
            add.partial(z={"k": (1, 2)}).expand(x=numbers(), y={"a": 1})
            add.override(task_id="other").expand_kwargs([{"x": 1, "y": 2, "z": 3}])
    """)
    payload = dag.task("add").payload
    xcom = {"__airdock__": "xcom", "task_id": "numbers", "key": "return_value", "map_index": -1}
    assert payload["expand"] == {"x": xcom, "y": {"a": 1}}
    assert payload["kwargs"] == {"z": {"k": [1, 2]}}
    assert dag.task("other").payload["expand"] == {"**": [{"x": 1, "y": 2, "z": 3}]}
    assert dag.task("other").expand == {"**": {"length": 1}}


def test_several_dags_of_a_file_keep_their_order(tmp_path: Path) -> None:
    path = tmp_path / "two.py"
    path.write_text("""
from airdock.operators.empty import EmptyOperator
from airdock.sdk import DAG, dag

@dag
def second():
    EmptyOperator(task_id="a")

one = DAG("first")
EmptyOperator(task_id="b", dag=one)
second()
""")
    assert [each.dag_id for each in load_dag_file(path)] == ["second", "first"]


def test_modules_beside_the_file_can_be_imported(load: Load, tmp_path: Path) -> None:
    (tmp_path / "near_by.py").write_text("NAME = 'd'\n")
    assert load("import near_by\n" + "from airdock.sdk import DAG\nfrom airdock.operators.empty import EmptyOperator\n"
                "with DAG(near_by.NAME):\n    EmptyOperator(task_id='a')\n").dag_id == "d"  # fmt: skip
    assert not list(tmp_path.rglob("__pycache__"))


def test_a_syntax_error_shows_line_and_column(load: Load, tmp_path: Path) -> None:
    with pytest.raises(DagFileError) as caught:
        load("from airdock.sdk import DAG\n    \nwith DAG('d')\n    pass\n")
    assert caught.value.message == "syntax error: expected ':'\n    with DAG('d')\n                 ^"
    assert caught.value.where == f"{tmp_path}/pipeline.py:3"


def test_an_exception_shows_the_line_of_the_file(load: Load, tmp_path: Path) -> None:
    with pytest.raises(DagFileError) as caught:
        load("import json\n\ndef read():\n    return json.loads('x')\n\nread()\n")
    assert "JSONDecodeError: Expecting value" in caught.value.message
    assert "(at `return json.loads('x')`)" in caught.value.message
    assert caught.value.where == f"{tmp_path}/pipeline.py:4"


def test_a_missing_package_says_where_to_import_it(load: Load) -> None:
    with pytest.raises(DagFileError, match="No module named 'no_such_thing'") as caught:
        load("import no_such_thing  # airdock dag\n")
    assert "import it inside of the task's function" in caught.value.hint
    assert sys.executable in caught.value.hint


def test_an_exit_is_an_error_like_others(load: Load) -> None:
    with pytest.raises(DagFileError, match="SystemExit: 3"):
        load("import sys\nsys.exit(3)\n")


def test_a_circle_is_shown(load: Load) -> None:
    with pytest.raises(CycleError, match="a -> b -> a"):
        load("""
            from airdock.operators.empty import EmptyOperator
            from airdock.sdk import DAG
            with DAG("d"):
                a, b = EmptyOperator(task_id="a"), EmptyOperator(task_id="b")
                a >> b >> a
        """)


def test_a_duplicate_id_names_both_lines(load: Load, tmp_path: Path) -> None:
    with pytest.raises(DuplicateTaskError, match="task id 'a' is used twice") as caught:
        load("""
            from airdock.operators.empty import EmptyOperator
            from airdock.sdk import DAG
            with DAG("d"):
                EmptyOperator(task_id="a")
                EmptyOperator(task_id="a")
        """)
    assert caught.value.where == f"{tmp_path}/pipeline.py:6"
    assert f"{tmp_path}/pipeline.py:5" in caught.value.hint


def test_a_function_that_can_not_travel_is_told_when_the_file_is_loaded(load: Load, tmp_path: Path) -> None:
    with pytest.raises(NotPortableError, match=r"task 'work'.*names 'dag'") as caught:
        load("""
            from airdock.sdk import DAG, task
            @task(requirements=["x"])
            def work():
                return dag.dag_id
            with DAG("d") as dag:
                work()
        """)
    assert caught.value.where == f"{tmp_path}/pipeline.py:5"


def test_arguments_of_a_task_in_another_image_have_to_be_json(load: Load) -> None:
    text = """
        import datetime
        from airdock.sdk import DAG, task
        @task(requirements=["x"])
        def work(**values):
            pass
        with DAG("d"):
            work(options={"days": [1, %s]})
    """
    with pytest.raises(DagError, match=r"expected argument 'options'\['days'\]\[1\] to be JSON.*a datetime.date"):
        load(text % "datetime.date(2020, 1, 1)")
    with pytest.raises(DagError, match="found nan"):
        load(text % "float('nan')")
    with pytest.raises(DagError, match="keys aren't all strings"):
        load(text % "{1: 2}")


def test_what_is_done_beside_the_file_first_is_in_the_payload(load: Load, tmp_path: Path) -> None:
    text = """
        from airdock.operators.bash import BashOperator
        from airdock.sdk import DAG, literal, task
        with DAG("d"):
            @task(requirements=["x"]%s)
            def work(**values):
                pass
            done = work(%s)
            BashOperator(task_id="b", image="i", bash_command="true", env={"E": done})
    """
    for arguments, value in (
        ("", "v='{{ ds }}'"),
        (", templates_dict={'a': '{{ ds }}'}", ""),
        (", pre_execute=print", ""),
    ):
        work, bash = load(text % (arguments, value)).tasks
        assert work.payload["first"]["fileloc"] == bash.payload["first"]["fileloc"] == f"{tmp_path}/pipeline.py"
    for arguments, value in (("", "v='x'"), (", templates_dict={'a': 'x'}", "v=literal('x').value")):
        assert "first" not in load(text % (arguments, value)).task("work").payload


def test_no_dag_says_what_was_expected(load: Load) -> None:
    with pytest.raises(DagFileError, match=r"defines no DAG$"):
        load("from airdock.sdk import DAG\n")
    with pytest.raises(DagFileError, match="the @dag function 'pipeline' is never called") as caught:
        load("from airdock.sdk import dag\n@dag\ndef pipeline():\n    pass\n")
    assert "pipeline()" in caught.value.hint


def test_a_dag_without_tasks_or_used_twice_is_refused(load: Load) -> None:
    with pytest.raises(DagError, match="DAG 'd' has no tasks"):
        load("from airdock.sdk import DAG\nwith DAG('d'):\n    pass\n")
    with pytest.raises(DagError, match="DAG id 'd' is used twice"):
        load("from airdock.sdk import DAG\nwith DAG('d'):\n    pass\nwith DAG('d'):\n    pass\n")


def test_fail_fast_takes_only_the_default_rule(load: Load) -> None:
    with pytest.raises(DagError, match="expected trigger_rule all_success in a fail_fast DAG, found 'all_done'"):
        load("""
            from airdock.operators.empty import EmptyOperator
            from airdock.sdk import DAG
            with DAG("d", fail_fast=True):
                EmptyOperator(task_id="a", trigger_rule="all_done")
        """)


def test_what_has_no_effect_yet_is_said(load: Load, capfd: pytest.CaptureFixture[str]) -> None:
    load("""
        from airdock.operators.empty import EmptyOperator
        from airdock.sdk import DAG
        from airdock.operators.bash import BashOperator
        with DAG("d", default_args={"on_execute_callback": print, "retry_policy": object()}):
            EmptyOperator(task_id="a")
            BashOperator(task_id="b", bash_command="false")
            BashOperator(task_id="c", bash_command="false", image="elsewhere")
    """)
    assert capfd.readouterr().err == "DAG 'd': retry_policy has no effect yet (tasks: a, c)\n"


def test_the_only_dag_file_of_a_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "readme.py").write_text("print('nothing')")
    with pytest.raises(DagFileError, match="found none"):
        find_dag_file(tmp_path)
    (tmp_path / "one.py").write_text("from airflow.sdk import DAG")
    assert find_dag_file(tmp_path) == tmp_path / "one.py"
    (tmp_path / "two.py").write_text("from airdock.sdk import dag")
    with pytest.raises(DagFileError, match=r"found 2: one\.py, two\.py"):
        find_dag_file(tmp_path)
    with pytest.raises(DagFileError, match="there is no DAG file"):
        find_dag_file(tmp_path / "none.py")


def test_the_command_writes_dags_or_the_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good, output = tmp_path / "good.py", tmp_path / "out.json"
    good.write_text("\n".join(line[4:] for line in GOOD.splitlines()) + "\nprint('hello from the file')\n")
    command = [sys.executable, "-m", "airdock.dag.load", str(good), "--output", str(output)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "hello from the file\n")
    result = json.loads(output.read_text())
    assert result["error"] is None
    assert SerializedDag.from_dict(result["dags"][0]).dag_id == "good"
    good.write_text("1 / 0")
    assert main([str(good), "--output", str(output)]) == 1
    result = json.loads(output.read_text())
    assert result["dags"] == []
    assert result["error"]["error"] == "DagFileError"
    assert result["error"]["where"] == f"{good}:1"


def test_what_is_called_after_a_task_elsewhere_travels_or_is_said(
    load: Load, capfd: pytest.CaptureFixture[str]
) -> None:
    dag = load("""
        from airdock.operators.bash import BashOperator
        from airdock.sdk import DAG, task
        def after(context, result):
            print(result)
        with DAG("d"):
            @task(requirements=["x"], post_execute=after)
            def travels():
                pass
            travels()
            travels.override(task_id="lambda", post_execute=lambda context, result: None)()
            BashOperator(task_id="bash", bash_command="false", image="elsewhere", post_execute=after)
            BashOperator(task_id="host", bash_command="false", post_execute=after)
    """)
    assert dag.task("travels").payload["post_execute"]["function"] == "after"
    assert capfd.readouterr().err == "DAG 'd': post_execute has no effect yet (tasks: lambda, bash)\n"


def test_folders_of_templates_that_tasks_do_not_see_are_said(
    load: Load, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    text = """
        import pathlib
        from airdock.operators.empty import EmptyOperator
        from airdock.sdk import DAG
        with DAG("d", template_searchpath=%s):
            EmptyOperator(task_id="a")
    """
    for seen in (f"'{tmp_path}'", f"pathlib.Path('{tmp_path}')", f"['{tmp_path}']", "None"):
        load(text % seen)
    assert capfd.readouterr().err == ""
    load(text % f"['{tmp_path}', '/nowhere/sql']")
    assert capfd.readouterr().err == (
        "DAG 'd': template_searchpath names /nowhere/sql, which tasks don't see: they see the folder of the DAG file, "
        "and those that the setting isolation.folders names\n"
    )
