"""What a task returned, put where other tasks find it."""

from . import context, values

__all__ = ["push"]


def push(value, payload, instance):
    """Push the value, and with `multiple_outputs` each of its keys. NotJsonError, before anything is pushed.

    What others are mapped over has to be a list or a dict; how long it may be is for whoever keeps it to say.
    """
    if not payload["do_xcom_push"]:
        value = None
    is_mapped_over = payload.get("mapped_over") and instance.map_index < 0
    if is_mapped_over and not isinstance(value, (list, tuple, dict)):
        raise values.NotJsonError(
            "others are mapped over what task %r returns: expected a list or a dict, found %s"
            % (instance.task_id, "nothing" if value is None else type(value).__name__)
        )
    if value is None:
        return
    who = "what task %r returned" % instance.task_id
    values.check(value, "result", who)
    if payload["multiple_outputs"]:
        _check_keys(value, who)
        for key, each in value.items():
            instance.xcom_push(key, each)
    if is_mapped_over:
        instance.ask("xcom_put", key=context.RETURN_KEY, value=value, is_mapped_over=True)
    else:
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
