"""Runs a task of a DAG file with Airdock beside it: any kind of operator, as Airflow does."""

import os
import sys
from importlib import import_module

from . import callbacks, endings, mapping
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
        self._current.set_load_time_answers(channel.ask)
        dags = importing.import_dag_file(payload["fileloc"])[1]
        dag = importing.find_dag(dags, payload["dag_id"], payload["fileloc"])
        self.context = contexts.Context(start, channel, _make_time)
        self._late = payload.get("callback")
        self._is_first_step = payload.get("is_first_step", False)
        if self._late and not payload["task_id"]:
            self._task = None
            self.context["dag"] = dag
            self._take_last(dag, channel)
        else:
            self._take(dag, start["key"]["map_index"])
        contexts.current.append(self.context)
        self._current.set_current_context(self.context)

    def _take(self, dag, map_index):
        """Let the context be the task's."""
        self._task = self._choose(dag.get_task(self.payload["task_id"]), map_index)
        self.context.update(
            dag=dag,
            task=self._task,
            inlets=list(getattr(self._task, "inlets", None) or ()),
            outlets=list(getattr(self._task, "outlets", None) or ()),
            map_index_template=getattr(self._task, "map_index_template", None),
            templates_dict=getattr(self._task, "templates_dict", None),
        )
        self.context.instance.task = self._task
        if not self._late:
            self._check_params(dag)
            self._task.render_template_fields(self.context)
            self.relabel()

    def _take_last(self, dag, channel):
        """Let the context be that of the task instance that says most of how the run ended, where there is one."""
        last = self.payload.get("last")
        for name in ("ti", "task_instance", "task_instance_key_str"):
            del self.context[name]
        if last is None or last["task_id"] not in dag.task_dict:
            return
        first, key = self.context.instance, {"dag_id": dag.dag_id, "run_id": self.context["run_id"]}
        instance = contexts.TaskInstance(dict(last, **key), channel, last, _make_time, last.get("log_url"))
        instance.task, instance.dag_run = dag.get_task(last["task_id"]), first.dag_run
        self.context.instance = instance
        self.context.update(ti=instance, task_instance=instance, task=instance.task)
        self.context["task_instance_key_str"] = contexts.key_text(instance)

    def _check_params(self, dag):
        """AirflowFailException where a value of the run isn't as its Param's schema says."""
        own = {name: each.full_schema for name, each in self._task.params.items() if hasattr(each, "full_schema")}
        schemas = dict(dag.param_schemas, **own)
        if not schemas:
            return
        mistakes = import_module("airdock.dag.param").check_params(self.context["params"], schemas)
        if mistakes:
            raise import_module("airdock.dag.exceptions").AirflowFailException("; ".join(mistakes))

    def call(self):
        if self._late:
            return callbacks.late(self.context["dag"] if self._task is None else self._task, self.context, self._late)
        resumed = (self.payload.get("instance") or {}).get("next")
        ended = _ended_by_trigger(resumed or {})
        if ended:
            return self._end(ended)
        self._task.pre_execute(self.context)
        callbacks.before(self._task, self.context)
        if self._is_first_step:
            return None
        if resumed:
            return self._resume(resumed)
        if self._task.start_from_trigger and self._task.start_trigger_args:
            import_module("airdock.dag.trigger").defer_at_once(self._task)
        value = self._task.execute(self.context)
        self._task.post_execute(self.context, value)
        return value

    def _resume(self, resumed):
        """Go on with a task that was deferred, as its trigger's event says."""
        from . import wire

        if resumed.get("error"):
            raise self._deferral_failed(resumed)
        kwargs = dict(wire.unpack(resumed.get("kwargs") or {}))
        if "event" in resumed:
            kwargs["event"] = wire.unpack(resumed["event"])
        go_on = getattr(self._task, "resume_execution", None)
        if go_on is not None:
            value = go_on(resumed["method"], kwargs, self.context)
        else:
            value = getattr(self._task, resumed["method"])(self.context, **kwargs)
        self._task.post_execute(self.context, value)
        return value

    def _deferral_failed(self, resumed):
        """What to raise where the trigger failed or didn't fire in time; a sensor may take that for a skip."""
        exceptions = import_module("airdock.dag.exceptions")
        first, _, more = resumed["error"].partition("\n")
        if more:
            sys.stderr.write("the trigger failed:\n%s\n" % more)
        kind = exceptions.TaskDeferralTimeout if resumed.get("timed_out") else exceptions.TaskDeferralError
        if getattr(self._task, "soft_fail", False) or getattr(self._task, "never_fail", False):
            kind = exceptions.AirflowSkipException
        return kind(first)

    def _end(self, event):
        """The trigger ended the task, which isn't called again."""
        from . import wire

        exceptions = import_module("airdock.dag.exceptions")
        for name, value in wire.unpack(event.get("xcoms") or {}).items():
            self.context.instance.xcom_push(name, value)
        if event["state"] == "skipped":
            raise exceptions.AirflowSkipException("its trigger skipped it")
        if event["state"] == "failed":
            raise exceptions.AirflowFailException("its trigger says that it failed")

    def finish(self):
        """The ending of a task whose code returned: what it did to assets, and what its instance is shown as.

        Of a first step it says what the second is to run.
        """
        instance = self.context.instance
        self._label()
        if self._is_first_step:
            prepared = import_module("airdock.dag.first_step").prepare(self._task)
            return dict(
                prepared, kind="prepared", payload=dict(prepared["payload"], is_resolved=True, label=instance.label)
            )
        if not self._late and (self.context["outlets"] or dict.__contains__(self.context, "outlet_events")):
            instance.events = self.context["outlet_events"].events()
        return endings.success(instance)

    def relabel(self):
        """Show the instance as its template says now; before the task's code has run, it may not say anything yet."""
        try:
            self._label()
        except Exception:
            pass  # the template: it is rendered again after the code, and only where that returns does this count

    def _label(self):
        instance = self.context.instance
        template = self.context["map_index_template"]
        if template and instance.map_index >= 0 and not self._late:
            templates = import_module("airdock.dag.templates").Templates.of(self._task, self.context)
            instance.label = str(templates.render(template))

    def judge(self, ending, error):
        callbacks.judge(self._task, self.context, ending, error)

    def after(self, ending, error):
        if not self._late and not self._is_first_step:
            callbacks.after(self._task, self.context, ending, error)

    def on_kill(self):
        if self._task is not None:
            self._task.on_kill()

    def timeout(self):
        exceptions = import_module("airdock.dag.exceptions")
        return exceptions.AirflowTaskTimeout("Timeout after %s s" % self.payload["execution_timeout_s"])

    def _choose(self, task, map_index):
        if not task.is_mapped:
            return task
        return task.unmap(mapping.choose(task.expanded_values(self.context), map_index))


def _ended_by_trigger(resumed):
    """The event with which its trigger ended the task, if it did: none of its own code is called then."""
    event = resumed.get("event")
    return event if not resumed.get("error") and isinstance(event, dict) and event.get("__airdock__") == "end" else None


def _make_time(text):
    """Times as Airflow's tasks know them. Pendulum takes longer to import than a small task to run."""
    if not text:
        return None
    import pendulum

    return pendulum.instance(contexts.parse_time(text))
