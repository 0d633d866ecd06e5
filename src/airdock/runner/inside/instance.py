"""The task and its run, as the code that runs sees them."""

from time import time

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

    def __init__(self, key, channel, state=None, make_time=parse_time, log_url=None):
        state = state or {}
        self.dag_id = key["dag_id"]
        self.task_id = key["task_id"]
        self.run_id = key["run_id"]
        self.map_index = key["map_index"]
        self.try_number = key["try_number"]
        self.max_tries = state.get("max_tries") or 0
        self._began = time()
        self._started = state.get("started")
        self._ended = state.get("ended")
        self.log_url = self.mark_success_url = log_url or ""
        self.first_started = make_time(state.get("first_started"))
        self.reschedules = state.get("reschedules") or 0
        self.state = state.get("state") or "running"
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
    def start_date(self):
        """When this try began."""
        from datetime import datetime, timezone

        return self._make_time(self._started or datetime.fromtimestamp(self._began, timezone.utc).isoformat())

    @property
    def end_date(self):
        """When this try ended; None while it goes on."""
        return self._make_time(self._ended)

    @property
    def duration(self):
        """How long this try took, in seconds; None while it goes on."""
        return (self.end_date - self.start_date).total_seconds() if self._ended else None

    def close(self, state):
        """The try has ended, and the instance is in this state."""
        from datetime import datetime, timezone

        self.state = state
        self._ended = datetime.now(timezone.utc).isoformat()

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

        Without `task_ids` the task's own. A mapped task gives the values of its instances, read when they are looked
        at, unless `map_indexes` says which. A list of ids gives one list, with each of these values in it. `run_id` and
        `dag_id` name another run; with `include_prior_dates` it is the newest one up to this run's date in which there
        is a value.
        """
        place = xcoms.Place(self._channel, self, key, dag_id, run_id, include_prior_dates)
        if task_ids is None:
            index = self.map_index if map_indexes is None else map_indexes
            return place.pull(self.task_id, index, default)
        if isinstance(task_ids, str):
            return place.pull(task_ids, map_indexes, default)
        return place.pull_all(task_ids, map_indexes, default)

    def choose(self, expanded):
        """What this instance gets of the values that its group is expanded over."""
        return mapping.choose(expanded, self.map_index)

    def get_value(self, task_id, key, map_index):
        """One value, or with None as index the list over all instances of a mapped task."""
        return self._channel.ask("xcom_get", task_id=task_id, key=key, map_index=map_index)

    def ask(self, op, **fields):
        """Ask the supervisor for this; ChannelError where it says no."""
        return self._channel.ask(op, **fields)

    def __getattr__(self, name):
        """What few tasks ask: see `questions`."""
        if name.startswith("_") or "_channel" not in self.__dict__:
            raise AttributeError(name)
        from . import questions

        if name not in questions.__all__:
            raise AttributeError("a TaskInstance has no %r" % name)
        question = getattr(questions, name)

        def ask(*args, **kwargs):
            return question(self, *args, **kwargs)

        return ask

    def __repr__(self):
        return "<TaskInstance %s.%s %s>" % (self.dag_id, self.task_id, self.run_id)
