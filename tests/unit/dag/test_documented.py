"""What is said of DAGs, groups and tasks, and what they are shown as."""

from pathlib import Path
from typing import Any

import pytest

from airdock.dag.serialize import serialize_dag
from airdock.dag.serialized import SerializedDag
from airdock.operators.bash import BashOperator
from airdock.operators.empty import EmptyOperator
from airdock.sdk import DAG, TaskGroup, dag, task, task_group

from .conftest import Load


def serialized(graph: DAG) -> SerializedDag:
    return serialize_dag(graph, loader={})


def docs(graph: DAG) -> dict[str, str]:
    return {each.task_id: each.doc for each in serialized(graph).tasks}


# Texts


def test_a_dag_says_its_doc_md_else_its_description() -> None:
    for given, said in (
        ({"doc_md": "# Long", "description": "short"}, "# Long"),
        ({"description": "short"}, "short"),
        ({}, ""),
    ):
        with DAG("d", **given) as graph:  # type: ignore[arg-type]
            EmptyOperator(task_id="a")
        assert serialized(graph).doc == said


def test_a_dag_may_be_told_what_it_says_later() -> None:
    with DAG("d") as graph:
        EmptyOperator(task_id="a")
    graph.doc_md = "later"
    assert serialized(graph).doc == "later"


def test_a_dag_function_says_its_docstring_unless_something_is_given() -> None:
    def body() -> None:
        """Of the function."""
        EmptyOperator(task_id="a")

    assert dag(body)().doc_md == "Of the function."
    assert dag(doc_md=None)(body)().doc_md == "Of the function."
    assert dag(doc_md="given")(body)().doc_md == "given"


@pytest.mark.parametrize("where", ["doc_md={path!r}", "doc_md='readme.md'"])
def test_a_doc_that_names_a_file_is_what_the_file_holds(where: str, load: Load, tmp_path: Path) -> None:
    (tmp_path / "readme.md").write_text("# From a file\n")
    made = load(f"""
        from airflow.sdk import DAG, TaskGroup
        from airdock.operators.empty import EmptyOperator
        with DAG("d", {where.format(path=str(tmp_path / "readme.md"))}):
            with TaskGroup("g", doc_md="readme.md"):
                EmptyOperator(task_id="a", doc_md="readme.md")
    """)
    assert made.doc == "# From a file\n"
    assert made.groups["g"]["doc"] == "# From a file\n"
    assert made.tasks[0].doc == "readme.md"  # of a task it is a text, in Airflow too


@pytest.mark.parametrize("text", ["nowhere.md", "see\nthe readme.md", "x" * 5000 + ".md", "a\0.md", ".md"])
def test_a_doc_that_only_looks_like_a_file_is_a_text(text: str) -> None:
    assert DAG("d", doc_md=text).doc_md == text


def test_a_task_function_says_its_docstring_unless_anything_is_given() -> None:
    @task
    def plain() -> None:
        """Of the function."""

    with DAG("d") as graph:
        plain()
        plain.override(task_id="given", doc_md="given")()
        plain.override(task_id="other", doc="another kind")()
        plain.override(task_id="rst", doc_rst="a third")()
        plain.partial().expand_kwargs([{}])
    assert docs(graph) == {
        "plain": "Of the function.",
        "given": "given",
        "other": "another kind",
        "rst": "a third",
        "plain__1": "Of the function.",
    }


def test_default_args_say_it_too() -> None:
    @task
    def plain() -> None:
        """Of the function."""

    with DAG("d", default_args={"doc_md": "of all"}) as graph, TaskGroup("g", default_args={"doc": "in the group"}):
        plain()
    with graph:
        plain()
        EmptyOperator(task_id="b")
    assert docs(graph) == {"g.plain": "of all", "plain": "of all", "b": "of all"}


@pytest.mark.parametrize("kind", ["doc", "doc_md", "doc_rst", "doc_yaml", "doc_json"])
def test_every_kind_of_doc_is_said(kind: str) -> None:
    given: dict[str, Any] = {kind: "text"}
    with DAG("d") as graph:
        EmptyOperator(task_id="a", **given)
    assert docs(graph) == {"a": "text"}


# Groups


def test_a_group_has_a_tooltip_and_a_doc() -> None:
    with DAG("d") as graph:
        with TaskGroup("g", tooltip="tip", doc_md="doc", group_display_name="Shown") as group:
            EmptyOperator(task_id="a")
        with TaskGroup("h") as plain:
            EmptyOperator(task_id="b")
    made = serialized(graph).groups
    assert {name: made["g"][name] for name in ("tooltip", "doc", "display_name")} == {
        "tooltip": "tip", "doc": "doc", "display_name": "Shown",
    }  # fmt: skip
    assert {name: made["h"][name] for name in ("tooltip", "doc", "display_name")} == dict.fromkeys(
        ("tooltip", "doc", "display_name"), ""
    )
    assert (group.label, plain.label, group.group_id) == ("Shown", "h", "g")


def test_a_group_function_says_its_docstring_where_nothing_is_given() -> None:
    def body(number: int = 0) -> None:
        """Adds two.

        More."""
        EmptyOperator(task_id="a")

    with DAG("d") as graph:
        task_group(body)()
        task_group(group_id="tip", tooltip="given")(body)()
        task_group(group_id="doc", doc_md="given")(body)()
        task_group(group_id="mapped", tooltip="")(body).expand(number=[1, 2])
        task_group(group_id="file", doc_md="nowhere.md")(body)()
    made = {name: (each["tooltip"], each["doc"]) for name, each in serialized(graph).groups.items()}
    whole = body.__doc__
    assert made == {
        "body": (whole, whole),
        "tip": ("given", whole),
        "doc": (whole, "given"),
        "mapped": (whole, whole),
        "file": (whole, "nowhere.md"),
    }


# Names for people


def test_a_dag_is_shown_as_its_id_or_its_display_name() -> None:
    assert DAG("d").dag_display_name == "d"
    with DAG("d", dag_display_name="Déjà vu 🎉") as graph:
        EmptyOperator(task_id="a")
    assert (graph.dag_display_name, graph.dag_id) == ("Déjà vu 🎉", "d")
    assert serialized(graph).display_name == "Déjà vu 🎉"
    assert SerializedDag.from_dict(serialized(graph).to_dict()).display_name == "Déjà vu 🎉"


def test_a_task_is_shown_as_its_display_name_else_its_id() -> None:
    @task(task_display_name="Many 🎉")
    def many(x: int) -> int:
        return x

    with DAG("d") as graph:
        plain = EmptyOperator(task_id="plain")
        named = EmptyOperator(task_id="named", task_display_name="Named")
        with TaskGroup("g"):
            inside = EmptyOperator(task_id="inside")
            shown = EmptyOperator(task_id="shown", task_display_name="Shown inside")
        mapped = many.expand(x=[1, 2]).operator
        other = BashOperator.partial(task_id="other").expand(bash_command=["a", "b"])
    nodes = [plain, named, inside, shown, mapped, other]
    assert [each.task_display_name for each in nodes] == [
        "plain", "Named", "g.inside", "Shown inside", "Many 🎉", "other"
    ]  # fmt: skip
    assert [each.label for each in nodes] == ["plain", "Named", "inside", "Shown inside", "Many 🎉", "other"]
    assert mapped.unmap({"x": 1}).task_display_name == "Many 🎉"
    assert {each.task_id: each.display_name for each in serialized(graph).tasks if each.display_name} == {
        "named": "Named", "g.shown": "Shown inside", "many": "Many 🎉",
    }  # fmt: skip


def test_names_for_people_name_nothing() -> None:
    """Ids stay what tasks and groups are found by."""
    with DAG("d") as graph:
        with TaskGroup("g", group_display_name="Shown") as group:
            inside = EmptyOperator(task_id="a", task_display_name="A task")
        with TaskGroup("g", group_display_name="Shown", add_suffix_on_collision=True) as second:
            EmptyOperator(task_id="a", task_display_name="A task")
    assert (inside.task_id, second.group_id) == ("g.a", "g__1")
    assert group.get_child_by_label("a") is inside
    assert graph.get_task("g.a") is inside
