from datetime import UTC, datetime

import pytest

from airdock.answers import StoreTaskApi
from airdock.dag.serialized import SerializedDag, SerializedTask
from airdock.errors import ConfigError, ConflictError, DagError, UnknownRunError
from airdock.indexing import digest_of
from airdock.model.environment import Environment
from airdock.model.keys import RunKey, TaskKey, TryKey
from airdock.model.states import RunState, TaskState
from airdock.orchestrator import Orchestrator
from airdock.scheduler.loop import Scheduler
from airdock.store.memory import MemoryStore
from airdock.store.records import Answer, Batch, DagRow, Pool, Transition

AT = datetime(2026, 1, 1, tzinfo=UTC)
PANDAS = Environment(requirements=("pandas",))


def no_scheduler() -> Scheduler:
    raise AssertionError("nothing is to be run here")


def make_dag(dag_id: str = "d", **fields: object) -> SerializedDag:
    task = SerializedTask(**{"task_id": "a", "operator": "python", "retries": 2, **fields})  # type: ignore[arg-type]
    return SerializedDag(dag_id=dag_id, fileloc="/d.py", tasks=(task,))


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def orchestrator(store: MemoryStore) -> Orchestrator:
    return Orchestrator(store=store, scheduler=no_scheduler, executors=("local",))


def begin(store: MemoryStore, run: RunKey, task_id: str, map_index: int = -1) -> TryKey:
    """Queue the first try of a task."""
    key = TaskKey(dag_id=run.dag_id, run_id=run.run_id, task_id=task_id, map_index=map_index)
    store.take_run(run, owner="me", lease_s=60)
    steps = [
        Transition(key=key, source=TaskState.NONE, target=TaskState.SCHEDULED, try_number=0, to_try=1, at=AT),
        Transition(key=key, source=TaskState.SCHEDULED, target=TaskState.QUEUED, try_number=1, to_try=1, at=AT),
    ]
    store.commit(Batch(transitions=steps), owner="me")
    return key.attempt(1)


def test_a_run_is_made_for_now(orchestrator: Orchestrator, store: MemoryStore) -> None:
    key = orchestrator.create_run(make_dag(), conf={"x": 1})
    run = store.load_run(key)
    assert run.logical_date is not None
    assert key.run_id == f"manual__{run.logical_date.isoformat()}"
    assert (run.state, run.conf) == (RunState.QUEUED, {"x": 1})
    assert SerializedDag.from_dict(store.load_dag(run.dag_digest)) == make_dag()
    (row,) = orchestrator.states(key)
    assert (row.state, row.max_tries) == (TaskState.NONE, 2)


def test_literal_mapping_is_expanded_at_once(orchestrator: Orchestrator) -> None:
    key = orchestrator.create_run(make_dag(expand={"x": {"length": 2}, "y": {"length": 3}}))
    assert [row.key.map_index for row in orchestrator.states(key)] == list(range(6))


@pytest.mark.parametrize("expand", [{"x": {"length": 0}}, {"x": {"length": 2}, "y": {"xcom": "z"}}])
def test_other_mapping_waits(orchestrator: Orchestrator, expand: dict[str, dict[str, object]]) -> None:
    key = orchestrator.create_run(make_dag(expand=expand))
    assert [row.key.map_index for row in orchestrator.states(key)] == [-1]


def test_a_pool_that_is_not_there_is_refused(orchestrator: Orchestrator) -> None:
    with pytest.raises(ConfigError, match="no pool 'none'") as found:
        orchestrator.create_run(make_dag(pool="none"))
    assert (found.value.where, found.value.hint) == ("task a", "the pools are: default_pool")
    assert orchestrator.runs() == []


def test_a_task_that_needs_more_than_its_pool_has_is_refused(orchestrator: Orchestrator, store: MemoryStore) -> None:
    store.save_pools([Pool(name="small", slots=2)])
    with pytest.raises(ConfigError, match="pool_slots of at most 2"):
        orchestrator.create_run(make_dag(pool="small", pool_slots=3))


def test_an_executor_that_is_not_there_is_refused(orchestrator: Orchestrator) -> None:
    with pytest.raises(ConfigError, match="no executor 'celery'"):
        orchestrator.create_run(make_dag(executor="celery"))


@pytest.mark.parametrize("run_id", ["a/b", "..", "\0"])
def test_a_run_id_has_to_name_a_folder(orchestrator: Orchestrator, run_id: str) -> None:
    with pytest.raises(ConfigError, match="run id"):
        orchestrator.create_run(make_dag(), run_id=run_id)


def test_a_run_id_is_taken_once(orchestrator: Orchestrator) -> None:
    orchestrator.create_run(make_dag(), run_id="one")
    with pytest.raises(ConflictError):
        orchestrator.create_run(make_dag(), run_id="one")


def test_runs_are_found_by_id(orchestrator: Orchestrator) -> None:
    key = orchestrator.create_run(make_dag(), run_id="one")
    assert orchestrator.find_run("one").key == orchestrator.find_run("d/one").key == key
    with pytest.raises(UnknownRunError) as found:
        orchestrator.find_run("two")
    assert found.value.hint == "the newest are: one"
    orchestrator.create_run(make_dag("e"), run_id="one")
    with pytest.raises(UnknownRunError, match="several DAGs") as found:
        orchestrator.find_run("one")
    assert "d/one" in found.value.hint
    assert orchestrator.find_run("e/one").key.dag_id == "e"


def test_xcoms_of_one_task(orchestrator: Orchestrator, store: MemoryStore) -> None:
    api, run = StoreTaskApi(store=store), orchestrator.create_run(make_dag())
    key = begin(store, run, "a")
    assert api.xcom_get(key, task_id="a", xcom_key="return_value", map_index=None) is None
    api.xcom_put(key, xcom_key="return_value", value={"ü": [1, None]})
    assert api.xcom_get(key, task_id="a", xcom_key="return_value", map_index=None) == {"ü": [1, None]}
    assert api.xcom_get(key, task_id="a", xcom_key="return_value", map_index=0) is None
    assert store.list_lengths(run, task_id="a") == {-1: 1}
    api.xcom_put(key, xcom_key="text", value="abc")
    assert store.list_lengths(run, task_id="a", name="text") == {-1: None}


def test_a_run_that_is_not_there_has_no_xcoms(orchestrator: Orchestrator, store: MemoryStore) -> None:
    api, run = StoreTaskApi(store=store), orchestrator.create_run(make_dag())
    key, nowhere = begin(store, run, "a"), RunKey(dag_id="nowhere", run_id=run.run_id)
    for prior in (False, True):
        asked = {"task_id": "a", "xcom_key": "return_value", "run": nowhere, "prior": prior}
        assert api.xcom_get(key, map_index=None, **asked) is None
        assert api.xcom_count(key, **asked) is None


def test_xcoms_of_a_mapped_task_are_a_list(orchestrator: Orchestrator, store: MemoryStore) -> None:
    api, run = StoreTaskApi(store=store), orchestrator.create_run(make_dag(expand={"x": {"length": 3}}))
    keys = [begin(store, run, "a", index) for index in (2, 0)]

    def pull(map_index: int | None) -> object:
        return api.xcom_get(keys[0], task_id="a", xcom_key="return_value", map_index=map_index)

    assert pull(None) == []
    for key in keys:
        api.xcom_put(key, xcom_key="return_value", value=key.map_index)
    assert pull(None) == [0, 2]
    assert pull(2) == 2
    assert pull(1) is None


def test_a_try_that_is_over_cannot_push(orchestrator: Orchestrator, store: MemoryStore) -> None:
    api, run = StoreTaskApi(store=store), orchestrator.create_run(make_dag())
    with pytest.raises(ConflictError):
        api.xcom_put(TaskKey(dag_id="d", run_id=run.run_id, task_id="a").attempt(1), xcom_key="x", value=1)


def test_images_are_those_of_the_run(orchestrator: Orchestrator, store: MemoryStore) -> None:
    tasks = (
        SerializedTask(task_id="host", operator="python"),
        SerializedTask(task_id="pandas", operator="python", environment=PANDAS),
        SerializedTask(task_id="late", operator="python", environment=Environment(image="x")),
        SerializedTask(task_id="empty", operator="empty", mode="none"),
    )
    run = orchestrator.create_run(SerializedDag(dag_id="d", fileloc="/d.py", tasks=tasks))
    store.take_run(run, owner="me", lease_s=60)
    answers = [
        Answer(run=run, environment=Environment(), at=AT, digest="sha256:1"),
        Answer(run=run, environment=PANDAS, at=AT, digest="sha256:2"),
        Answer(run=run, environment=Environment(image="x"), at=AT, error={"message": "no"}),
    ]
    store.commit(Batch(answers=answers), owner="me")
    assert StoreTaskApi(store=store).images(run) == {"host": "sha256:1", "pandas": "sha256:2"}


def serve(store: MemoryStore, dag: SerializedDag, *, gone: bool = False) -> None:
    """As a scheduler does that has loaded the DAG's file, or finds it gone."""
    body = dag.to_dict()
    store.save_dag(digest_of(body), dag_id=dag.dag_id, body=body)
    store.save_loaded({dag.fileloc: [DagRow(dag_id=dag.dag_id, fileloc=dag.fileloc, digest=digest_of(body))]})
    if gone:
        store.save_loaded({}, gone=[dag.fileloc])


def test_a_dag_that_never_ran_is_known_once_a_scheduler_loaded_it(
    orchestrator: Orchestrator, store: MemoryStore
) -> None:
    with pytest.raises(DagError, match="no DAG 'd'"):
        orchestrator.find_dag("d")
    serve(store, make_dag())
    assert orchestrator.find_dag("d") == make_dag()
    assert orchestrator.dags() == [make_dag()]


def test_of_a_dag_that_ran_the_version_that_was_loaded_since_is_found(
    orchestrator: Orchestrator, store: MemoryStore
) -> None:
    orchestrator.create_run(make_dag())
    orchestrator.create_run(make_dag("other"))
    assert orchestrator.find_dag("d") == make_dag()
    serve(store, make_dag(retries=7))
    assert orchestrator.find_dag("d") == make_dag(retries=7)
    assert orchestrator.dags() == [make_dag(retries=7), make_dag("other")]


def test_a_dag_whose_file_is_gone_is_what_its_newest_run_had(orchestrator: Orchestrator, store: MemoryStore) -> None:
    orchestrator.create_run(make_dag())
    serve(store, make_dag(retries=7), gone=True)
    assert orchestrator.find_dag("d") == make_dag()
    assert orchestrator.dags() == [make_dag()]
