"""What a task returned, put where other tasks find it."""

from . import context, values

__all__ = ["push"]


def push(value, payload, instance):
    """Push the value, and with `multiple_outputs` each of its keys. NotJsonError, before anything is pushed."""
    if not payload["do_xcom_push"] or value is None:
        return
    who = "what task %r returned" % instance.task_id
    values.check(value, "result", who)
    if payload["multiple_outputs"]:
        _check_keys(value, who)
        for key, each in value.items():
            instance.xcom_push(key, each)
    instance.xcom_push(context.RETURN_KEY, value)


def _check_keys(value, who):
    if not isinstance(value, dict):
        raise values.NotJsonError(
            "%s is %s: expected a dict, because of multiple_outputs or of the function's `-> dict`"
            % (who, type(value).__name__)
        )
    for key in value:
        if not isinstance(key, str):
            raise values.NotJsonError("%s has the key %r: expected text, because of multiple_outputs" % (who, key))
