"""Runs a task of a DAG file with Airdock beside it: any kind of operator, as Airflow does."""

import os
import sys
from importlib import import_module

from . import context as contexts
from . import mapping

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
        self.context.update(dag=dag, task=self._task)
        self.context["ti"].task = self._task
        self._task.render_template_fields(self.context)
        contexts.current.append(self.context)
        self._current.set_current_context(self.context)

    def call(self):
        self._task.pre_execute(self.context)
        value = self._task.execute(self.context)
        self._task.post_execute(self.context, value)
        return value

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
    import pendulum

    return pendulum.instance(contexts.parse_time(text))
