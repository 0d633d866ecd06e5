"""The task and its run, as the code that runs sees them."""

from . import mapping, values, xcoms
from .times import parse_time

__all__ = ["DagRun", "TaskInstance"]


class DagRun(object):
    """The run that the task belongs to."""

    def __init__(self, dag_id, run, make_time=parse_time):
        self.dag_id = dag_id
        self.run_id = run["run_id"]
        self.conf = dict(run.get("conf") or {})
        self.run_type = run.get("run_type") or "manual"
        self.state = run.get("state") or "running"
        self.note = run.get("note")
        self.partition_key = run.get("partition_key")
        self.triggering_user_name = run.get("triggering_user_name")
        self.clear_number = run.get("clear_number") or 0
        self.consumed_asset_events = list(run.get("asset_events") or ())
        self._run = run
        self._make_time = make_time

    def __getattr__(self, name):
        if name not in _MOMENTS:
            raise AttributeError("a DagRun has no %r" % name)
        text = self._run.get(name)
        if text is None and name in _INTERVAL:
            text = self._run.get("logical_date")
        return self._make_time(text)

    @property
    def is_backfill(self):
        return self.run_type == "backfill"

    @property
    def external_trigger(self):
        return self.run_type == "manual"

    def __repr__(self):
        return "<DagRun %s %s>" % (self.dag_id, self.run_id)


_INTERVAL = ("data_interval_start", "data_interval_end")
_MOMENTS = (*_INTERVAL, "logical_date", "run_after", "start_date", "end_date", "queued_at", "partition_date")


class TaskInstance(object):
    """The task in this run; `xcom_pull` and `xcom_push` pass values between tasks."""

    def __init__(self, key, channel, state=None, make_time=parse_time):
        state = state or {}
        self.dag_id = key["dag_id"]
        self.task_id = key["task_id"]
        self.run_id = key["run_id"]
        self.map_index = key["map_index"]
        self.try_number = key["try_number"]
        self.max_tries = state.get("max_tries") or 0
        self.start_date = make_time(state.get("started"))
        self.first_started = make_time(state.get("first_started"))
        self.reschedules = state.get("reschedules") or 0
        self.state = "running"
        self.task = None
        self.dag_run = None
        self.skipped = []
        self.events = []
        self.label = ""
        self._channel = channel
        self._make_time = make_time

    @property
    def key(self):
        return (self.dag_id, self.task_id, self.run_id, self.try_number, self.map_index)

    @property
    def operator(self):
        """The name of the task's class."""
        return None if self.task is None else type(self.task).__name__

    @property
    def hostname(self):
        import os

        return os.uname().nodename

    def get_template_context(self, session=None):
        """The context of the task."""
        from .context import current

        return current[-1]

    @property
    def rendered_map_index(self):
        return self.label or None

    def skip(self, tasks):
        """Let these tasks be skipped when this one has succeeded: ids, or pairs of an id and a map index.

        An id alone is every instance of the task. Trigger rules are not asked.
        """
        for each in (tasks,) if isinstance(tasks, str) else tasks:
            task_id, index = (each, -1) if isinstance(each, str) else each
            if [task_id, index] not in self.skipped:
                self.skipped.append([task_id, index])

    def is_eligible_to_retry(self):
        """Whether a failure of this try is followed by another."""
        return 0 < self.try_number <= self.max_tries

    def xcom_push(self, key, value):
        """Put a value where other tasks of the run find it. The value has to be JSON."""
        values.check(value, "value", "what task %r pushes as %r" % (self.task_id, key))
        self._channel.ask("xcom_put", key=str(key), value=value)

    def xcom_pull(
        self, task_ids=None, dag_id=None, key=xcoms.RETURN_KEY, include_prior_dates=False, map_indexes=None,
        default=None, run_id=None,
    ):  # fmt: skip
        """What a task put there, `default` where it put nothing.

        Without `task_ids` the task's own. A list of ids gives a list. A mapped task gives the values of its instances,
        read when they are looked at, unless `map_indexes` says which. `run_id` and `dag_id` name another run; with
        `include_prior_dates` it is the newest one up to this run's date in which there is a value.
        """
        place = xcoms.Place(self._channel, self, key, dag_id, run_id, include_prior_dates)
        if task_ids is None:
            index = self.map_index if map_indexes is None else map_indexes
            return place.pull(self.task_id, index, default)
        if isinstance(task_ids, str):
            return place.pull(task_ids, map_indexes, default)
        return [place.pull(each, map_indexes, default) for each in task_ids]

    def choose(self, expanded):
        """What this instance gets of the values that its group is expanded over."""
        return mapping.choose(expanded, self.map_index)

    def get_value(self, task_id, key, map_index):
        """One value, or with None as index the list over all instances of a mapped task."""
        return self._channel.ask("xcom_get", task_id=task_id, key=key, map_index=map_index)

    def images(self):
        """The image digest of every task of the run, as far as it is known."""
        return self._channel.ask("images")

    def get_variable(self, name):
        """The text of an Airflow Variable, None where there is none."""
        return self._channel.ask("variable", name=str(name))

    def get_connection(self, conn_id):
        """The fields of an Airflow Connection, None where there is none."""
        return self._channel.ask("connection", conn_id=str(conn_id))

    def set_variable(self, name, value, description=None):
        """Keep a Variable: its text."""
        self._channel.ask("set_variable", name=str(name), value=value, description=description)

    def delete_variable(self, name):
        """Forget a Variable; nothing happens where there is none."""
        self._channel.ask("delete_variable", name=str(name))

    def ask(self, op, **fields):
        """Ask the supervisor for this; ChannelError where it says no."""
        return self._channel.ask(op, **fields)

    def mask(self, secret):
        """Let this text be shown as *** in the log of this try."""
        self._channel.ask("mask", secret=secret)

    def get_previous_dagrun(self, state=None):
        """The run of the DAG before this one, by logical date; with `state` the newest of that state. None if none."""
        found = self._channel.ask("previous_run", state=state)
        return DagRun(self.dag_id, found, self._make_time) if found else None

    def count_instances(self):
        """How many instances the task has, None where it isn't mapped."""
        if self.map_index < 0:
            return None
        fields = {"dag_id": self.dag_id, "run_id": self.run_id, "task_ids": [self.task_id], "task_group_id": None}
        return len(self._channel.ask("task_states", **fields))

    def get_first_reschedule_date(self, context=None):
        """When the first of the tries began that were rescheduled; None where there was none."""
        return self.first_started if self.reschedules else None

    def get_dagrun_state(self, dag_id, run_id):
        """The state of a run, as text."""
        return self._channel.ask("run_state", dag_id=dag_id, run_id=run_id)

    def trigger_dag_run(self, dag_id, **fields):
        """Start a run of a DAG: gives its `run_id`, with `exists` where it was there already, or `paused`.

        `fields` are run_id, conf, logical_date, run_after, reset, note and refuse_paused.
        """
        times = {name: each.isoformat() for name, each in fields.items() if hasattr(each, "isoformat")}
        return self._channel.ask("trigger_run", dag_id=dag_id, **dict(fields, **times))

    def get_dr_count(self, dag_id, logical_dates=None, run_ids=None, states=None):
        """How many runs of a DAG there are, of these dates, ids and states."""
        return len(self._runs(dag_id, logical_dates, run_ids, states))

    def get_task_states(
        self, dag_id, map_index=None, task_ids=None, task_group_id=None, logical_dates=None, run_ids=None
    ):
        """From run id to the states of its tasks: task id, with its map index after a `_`, to state."""
        fields = {"task_ids": None if task_ids is None else list(task_ids), "task_group_id": task_group_id}
        states = {}
        for run_id in self._runs(dag_id, logical_dates, run_ids, None):
            found = self._channel.ask("task_states", dag_id=dag_id, run_id=run_id, **fields)
            states[run_id] = {
                task_id if index < 0 else "%s_%d" % (task_id, index): state
                for task_id, index, state in found
                if map_index in (None, index)
            }
        return states

    def get_ti_count(
        self, dag_id, map_index=None, task_ids=None, task_group_id=None, logical_dates=None, run_ids=None, states=None
    ):
        """How many task instances there are, of these tasks, runs and states."""
        found = self.get_task_states(dag_id, map_index, task_ids, task_group_id, logical_dates, run_ids)
        wanted = None if states is None else [str(getattr(state, "value", state)) for state in states]
        return sum(wanted is None or state in wanted for run in found.values() for state in run.values())

    def _runs(self, dag_id, logical_dates, run_ids, states):
        dates = None if logical_dates is None else [date.isoformat() for date in logical_dates]
        wanted = None if states is None else [str(getattr(state, "value", state)) for state in states]
        ids = None if run_ids is None else list(run_ids)
        return self._channel.ask("runs", dag_id=dag_id, logical_dates=dates, run_ids=ids, states=wanted)

    def __repr__(self):
        return "<TaskInstance %s.%s %s>" % (self.dag_id, self.task_id, self.run_id)
