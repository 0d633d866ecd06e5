"""Runs a task of a DAG file with Airdock beside it: any kind of operator, as Airflow does."""

import os
import sys
from importlib import import_module

from . import callbacks, mapping, wire
from . import context as contexts

__all__ = ["Job"]


class Job(object):
    """One try: made with everything that comes before the user's code, `call` is the user's code.

    Airdock is imported by name: this file is packed alone, and what it asks for is there only on the host image.
    """

    def __init__(self, start, channel):
        self.payload = payload = start["payload"]
        sys.path[:] = payload["paths"] + [each for each in sys.path if each not in payload["paths"]]
        if payload.get("pythons") is not None:
            os.environ["AIRDOCK_PYTHONS"] = payload["pythons"]
        import_module("airdock.compat").install()
        importing = import_module("airdock.dag.importing")
        self._current = import_module("airdock.dag.context")
        self.hidden = (os.path.dirname(os.path.dirname(importing.__file__)) + "/", "<frozen importlib")
        dags = importing.import_dag_file(payload["fileloc"])[1]
        dag = importing.find_dag(dags, payload["dag_id"], payload["fileloc"])
        self.context = contexts.Context(start, channel, _make_time)
        self._task = self._choose(dag.get_task(payload["task_id"]), start["key"]["map_index"])
        self.context.update(
            dag=dag,
            task=self._task,
            inlets=list(getattr(self._task, "inlets", None) or ()),
            outlets=list(getattr(self._task, "outlets", None) or ()),
            map_index_template=getattr(self._task, "map_index_template", None),
            templates_dict=getattr(self._task, "templates_dict", None),
        )
        self.context["ti"].task = self._task
        self._task.render_template_fields(self.context)
        contexts.current.append(self.context)
        self._current.set_current_context(self.context)

    def call(self):
        callbacks.before(self._task, self.context)
        resumed = (self.payload.get("instance") or {}).get("next")
        if resumed:
            return self._resume(resumed)
        self._task.pre_execute(self.context)
        value = self._task.execute(self.context)
        self._task.post_execute(self.context, value)
        return value

    def _resume(self, resumed):
        """Go on with a task that was deferred, as its trigger's event says."""
        if resumed.get("error"):
            exceptions = import_module("airdock.dag.exceptions")
            timed_out = resumed.get("timed_out")
            kind = "TaskDeferralTimeout" if timed_out else "TaskDeferralError"
            raise getattr(exceptions, kind, exceptions.AirflowException)(resumed["error"])
        kwargs = dict(wire.unpack(resumed.get("kwargs") or {}))
        if "event" in resumed:
            kwargs["event"] = wire.unpack(resumed["event"])
        value = getattr(self._task, resumed["method"])(self.context, **kwargs)
        self._task.post_execute(self.context, value)
        return value

    def finish(self):
        """Collect what the task did to assets, and what its instance is shown as."""
        instance = self.context["ti"]
        if self.context["outlets"] or dict.__contains__(self.context, "outlet_events"):
            instance.events = self.context["outlet_events"].events()
        template = self.context["map_index_template"]
        if template and instance.map_index >= 0:
            templates = import_module("airdock.dag.templates").Templates.of(self._task, self.context)
            instance.label = str(templates.render(template))

    def after(self, ending, error):
        callbacks.after(self._task, self.context, ending, error)

    def on_kill(self):
        self._task.on_kill()

    def timeout(self):
        exceptions = import_module("airdock.dag.exceptions")
        return exceptions.AirflowTaskTimeout("Timeout after %s s" % self.payload["execution_timeout_s"])

    def _choose(self, task, map_index):
        if not task.is_mapped:
            return task
        return task.unmap(mapping.choose(task.expanded_values(self.context), map_index))


def _make_time(text):
    """Times as Airflow's tasks know them. Pendulum takes longer to import than a small task to run."""
    if not text:
        return None
    import pendulum

    return pendulum.instance(contexts.parse_time(text))
