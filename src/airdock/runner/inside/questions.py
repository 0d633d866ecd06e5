"""What a task instance can ask about itself and others. Few tasks do, so that this is imported when one does."""

from .instance import DagRun

__all__ = [
    "count_instances",
    "delete_variable",
    "get_connection",
    "get_dagrun_state",
    "get_dr_count",
    "get_first_reschedule_date",
    "get_previous_dagrun",
    "get_task_states",
    "get_ti_count",
    "get_variable",
    "images",
    "mask",
    "set_variable",
    "trigger_dag_run",
]


def images(ti):
    """The image digest of every task of the run, as far as it is known."""
    return ti.ask("images")


def get_variable(ti, name):
    """The text of an Airflow Variable, None where there is none."""
    return ti.ask("variable", name=str(name))


def get_connection(ti, conn_id):
    """The fields of an Airflow Connection, None where there is none."""
    return ti.ask("connection", conn_id=str(conn_id))


def set_variable(ti, name, value, description=None):
    """Keep a Variable: its text."""
    ti.ask("set_variable", name=str(name), value=value, description=description)


def delete_variable(ti, name):
    """Forget a Variable; nothing happens where there is none."""
    ti.ask("delete_variable", name=str(name))


def mask(ti, secret):
    """Let this text be shown as *** in the log of this try."""
    ti.ask("mask", secret=secret)


def get_previous_dagrun(ti, state=None):
    """The run of the DAG before this one, by logical date; with `state` the newest of that state. None if none."""
    found = ti.ask("previous_run", state=state)
    return DagRun(ti.dag_id, found, ti._make_time) if found else None


def count_instances(ti):
    """How many instances the task has, None where it isn't mapped."""
    if ti.map_index < 0:
        return None
    fields = {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_ids": [ti.task_id], "task_group_id": None}
    return len(ti.ask("task_states", **fields))


def get_first_reschedule_date(ti, context=None):
    """When the first of the tries began that were rescheduled; None where there was none."""
    return ti.first_started if ti.reschedules else None


def get_dagrun_state(ti, dag_id, run_id):
    """The state of a run, as text."""
    return ti.ask("run_state", dag_id=dag_id, run_id=run_id)


def trigger_dag_run(ti, dag_id, **fields):
    """Start a run of a DAG: gives its `run_id`, with `exists` where it was there already, or `paused`.

    `fields` are run_id, conf, logical_date, run_after, reset, note and refuse_paused.
    """
    times = {name: each.isoformat() for name, each in fields.items() if hasattr(each, "isoformat")}
    return ti.ask("trigger_run", dag_id=dag_id, **dict(fields, **times))


def get_dr_count(ti, dag_id, logical_dates=None, run_ids=None, states=None):
    """How many runs of a DAG there are, of these dates, ids and states."""
    return len(_runs(ti, dag_id, logical_dates, run_ids, states))


def get_task_states(ti, dag_id, map_index=None, task_ids=None, task_group_id=None, logical_dates=None, run_ids=None):
    """From run id to the states of its tasks: task id, with its map index after a `_`, to state."""
    fields = {"task_ids": None if task_ids is None else list(task_ids), "task_group_id": task_group_id}
    states = {}
    for run_id in _runs(ti, dag_id, logical_dates, run_ids, None):
        found = ti.ask("task_states", dag_id=dag_id, run_id=run_id, **fields)
        states[run_id] = {
            task_id if index < 0 else "%s_%d" % (task_id, index): state
            for task_id, index, state in found
            if map_index in (None, index)
        }
    return states


def get_ti_count(
    ti, dag_id, map_index=None, task_ids=None, task_group_id=None, logical_dates=None, run_ids=None, states=None
):
    """How many task instances there are, of these tasks, runs and states."""
    found = get_task_states(ti, dag_id, map_index, task_ids, task_group_id, logical_dates, run_ids)
    wanted = None if states is None else [str(getattr(state, "value", state)) for state in states]
    return sum(wanted is None or state in wanted for run in found.values() for state in run.values())


def _runs(ti, dag_id, logical_dates, run_ids, states):
    dates = None if logical_dates is None else [date.isoformat() for date in logical_dates]
    wanted = None if states is None else [str(getattr(state, "value", state)) for state in states]
    ids = None if run_ids is None else list(run_ids)
    return ti.ask("runs", dag_id=dag_id, logical_dates=dates, run_ids=ids, states=wanted)
