"""Deadlines as they are written, and what is left of them for the scheduler (reference 4.7)."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airdock import compat
from airdock.dag.callback import AsyncCallback, SyncCallback
from airdock.dag.deadlines import (
    BaseDeadlineReference,
    DeadlineAlert,
    DeadlineReference,
    ReferenceModels,
    VariableInterval,
    deadline_reference,
    deadlines_of,
    deadlines_without_effect,
)
from airdock.dag.notifier import BaseNotifier
from airdock.dag.serialized import SerializedDag
from airdock.errors import DagError

Load = Callable[[str], SerializedDag]
HOUR = timedelta(hours=1)
HERE = __name__


async def later(context: Any) -> None: ...


def now(context: Any) -> None: ...


class Says(BaseNotifier):
    """Takes what any notifier takes."""


def alert(**given: Any) -> DeadlineAlert:
    wanted = {"reference": DeadlineReference.DAGRUN_QUEUED_AT, "interval": HOUR, "callback": AsyncCallback(later)}
    return DeadlineAlert(**{**wanted, **given})


def test_a_file_of_airflows_is_loaded_with_its_deadlines(load: Load) -> None:
    found = load("""
        from datetime import datetime, timedelta
        from airflow.sdk import DAG, AsyncCallback, DeadlineAlert, DeadlineReference, SyncCallback
        from airflow.sdk.definitions.deadline import VariableInterval
        from airflow.providers.standard.operators.empty import EmptyOperator

        async def tell(text, context):
            pass

        with DAG("d", deadline=[
            DeadlineAlert(
                reference=DeadlineReference.DAGRUN_QUEUED_AT,
                interval=timedelta(minutes=15),
                callback=AsyncCallback(tell, kwargs={"text": "late"}),
                name="quarter",
            ),
            DeadlineAlert(DeadlineReference.AVERAGE_RUNTIME(), VariableInterval("spare"), SyncCallback("os.getcwd")),
        ]):
            EmptyOperator(task_id="t")
    """)
    first, second = found.deadlines
    path = first["callback"].pop("path")
    assert path.startswith("dag_") and path.endswith("_pipeline.tell")
    assert first == {
        "name": "quarter",
        "reference": {"type": "queued_at"},
        "interval": {"seconds": 900.0},
        "callback": {"kind": "async", "kwargs": {"text": "late"}},
    }
    assert second == {
        "name": "",
        "reference": {"type": "average_runtime", "max_runs": 10, "min_runs": 10},
        "interval": {"variable": "spare"},
        "callback": {"kind": "sync", "path": "os.getcwd", "kwargs": {}},
    }
    assert SerializedDag.from_dict(found.to_dict()) == found


def test_a_dag_without_deadlines_is_the_version_that_it_was(load: Load) -> None:
    found = load("""
        from airdock.sdk import DAG, task

        with DAG("d", deadline=None):
            @task
            def t(): ...
            t()
    """)
    assert "deadlines" not in found.to_dict()
    assert SerializedDag.from_dict(found.to_dict()).deadlines == ()


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        (DeadlineReference.DAGRUN_LOGICAL_DATE, {"type": "logical_date"}),
        (DeadlineReference.FIXED_DATETIME(datetime(2026, 1, 2)),
         {"type": "fixed_datetime", "at": "2026-01-02T00:00:00+00:00"}),
        (DeadlineReference.AVERAGE_RUNTIME(5), {"type": "average_runtime", "max_runs": 5, "min_runs": 5}),
        (DeadlineReference.AVERAGE_RUNTIME(min_runs=2), {"type": "average_runtime", "max_runs": 10, "min_runs": 2}),
    ],
)  # fmt: skip
def test_references(reference: BaseDeadlineReference, told: dict[str, Any]) -> None:
    assert alert(reference=reference).to_json()["reference"] == told
    assert isinstance(reference, (*DeadlineReference.TYPES.DAGRUN,))


def test_a_callback_is_a_function_a_class_or_a_path() -> None:
    assert AsyncCallback(later).to_json() == {"kind": "async", "path": f"{HERE}.later", "kwargs": {}}
    assert AsyncCallback(Says, kwargs={"text": "hello"}).path == f"{HERE}.Says"
    assert SyncCallback(now, executor="local").path == f"{HERE}.now"
    assert AsyncCallback(f" {HERE}.later ").path == f"{HERE}.later"


def test_arguments_keep_their_kinds() -> None:
    told = SyncCallback(now, kwargs={"at": datetime(2026, 1, 2, tzinfo=UTC), "them": {1}}).to_json()["kwargs"]
    assert told["at"] == {"__airdock__": "datetime", "value": "2026-01-02T00:00:00+00:00"}
    with pytest.raises(DagError, match=r"arguments of .*now can't be carried: kwargs\['it'\] is a object"):
        SyncCallback(now, kwargs={"it": object()}).to_json()


def nested() -> Callable[[], None]:
    def inner() -> None: ...

    return inner


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: SyncCallback(nested()), "expected a function or class at the top of its file, found nested"),
        (lambda: SyncCallback(lambda: None), "at the top of its file"),
        (lambda: SyncCallback(Says()), "expected a function, a class or the path of one, found Says"),
        (lambda: SyncCallback("one"), "expected the path of a function or class, such as package.module.name"),
        (lambda: SyncCallback(now, kwargs={"context": 1}), "other arguments than `context`"),
        (lambda: AsyncCallback(now), "callable of an AsyncCallback to be awaitable"),
        (lambda: alert(callback=now), "callback of a DeadlineAlert to be an AsyncCallback or SyncCallback"),
        (lambda: alert(interval=3600), "interval of a DeadlineAlert to be a timedelta, found int 3600"),
        (lambda: alert(reference="queued"), "reference of a DeadlineAlert to be one of DeadlineReference"),
        (lambda: DeadlineReference.AVERAGE_RUNTIME(-1), "max_runs of AVERAGE_RUNTIME to be 1 or more, found -1"),
        (lambda: DeadlineReference.AVERAGE_RUNTIME(3, 0), "min_runs of AVERAGE_RUNTIME to be 1 or more, found 0"),
        (lambda: DeadlineReference.FIXED_DATETIME(None), "FIXED_DATETIME to be a datetime, found None"),  # type: ignore[arg-type]
        (lambda: DeadlineReference.FIXED_DATETIME(7), "FIXED_DATETIME to be a datetime, found int 7"),  # type: ignore[arg-type]
        (lambda: VariableInterval(""), "expected the name of a variable"),
        (lambda: deadlines_of(now, "f:1"), "expected deadline to be a DeadlineAlert or a list of them"),
        (lambda: deadlines_of([alert(callback=AsyncCallback("os.getcwd"))], "f:1"), "to be awaitable"),
        (lambda: deadlines_of([alert(callback=SyncCallback("os.sep"))], "f:1"), "os.sep to be a function or class"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_deadline_says_so(make: Callable[[], Any], reason: str) -> None:
    with pytest.raises(DagError) as failed:
        make()
    assert reason in failed.value.message
    assert failed.value.where


def test_references_of_an_authors_own_are_refused() -> None:
    class Own(ReferenceModels.BaseDeadlineReference):
        """Would ask Airflow's database."""

    makers: list[Callable[[], Any]] = [
        lambda: deadline_reference(Own),
        lambda: deadline_reference()(Own),
        lambda: deadline_reference(DeadlineReference.TYPES.DAGRUN_QUEUED)(Own),
        lambda: DeadlineReference.register_custom_reference(Own),
        lambda: alert(reference=Own()),
        Own().to_json,
    ]
    for make in makers:
        with pytest.raises(DagError, match=r"found Own, of an author's own: .* Airflow's database") as failed:
            make()
        assert "AVERAGE_RUNTIME" in failed.value.hint


def test_what_has_no_effect_is_told() -> None:
    gone = alert(callback=SyncCallback("no_such.module.name", executor="local"))
    assert deadlines_of(gone, "f:1")[0]["callback"]["path"] == "no_such.module.name"
    assert deadlines_without_effect([gone, alert()]) == [
        "no_such.module.name can't be imported, so its deadline calls nothing",
        "executor of a SyncCallback has no effect: it is called in a container beside the scheduler",
    ]


def test_airflows_names() -> None:
    compat.install()
    from airflow.models.deadline import ReferenceModels as Models
    from airflow.sdk import BaseDeadlineReference as Base
    from airflow.sdk.definitions.callback import AsyncCallback as Async
    from airflow.sdk.definitions.deadline import AsyncCallback as Same
    from airflow.sdk.definitions.deadline import FixedDatetimeDeadline, deadline_reference

    import airdock.sdk

    assert Async is Same is airdock.sdk.AsyncCallback is AsyncCallback
    assert issubclass(FixedDatetimeDeadline, Base) and Models.BaseDeadlineReference is Base
    assert callable(deadline_reference)
