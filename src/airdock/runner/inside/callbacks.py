"""What the author wants to be called around a task: before it, and once the supervisor knows how it ended."""

import sys

__all__ = ["after", "before", "judge", "late"]


def before(task, context):
    """Call the task's `on_execute_callback`."""
    _call(task, "on_execute_callback", context)


def after(task, context, ending, error):
    """Call what the task has for this ending, which was told already: nothing that goes wrong here changes it."""
    state, name = _AFTER[_kind(ending, context["ti"])]
    context["ti"].close(state)
    if not name or not getattr(task, name, None):
        return
    if error is not None:
        context["exception"] = error
        context["reason"] = ending.get("reason", "")
    _call(task, name, context)


def judge(task, context, ending, error):
    """Let the task's `retry_policy` say whether this failure is followed by another try, and after how long."""
    policy = getattr(task, "retry_policy", None)
    if policy is None or not ending["retryable"]:
        return
    instance = context["ti"]
    try:
        decision = policy.evaluate(
            exception=error, try_number=instance.try_number, max_tries=instance.max_tries, context=context
        )
        action = str(getattr(decision.action, "name", decision.action)).upper()
        if action == "FAIL":
            ending["retryable"] = False
        elif action == "RETRY" and decision.retry_delay is not None:
            ending["delay_s"] = max(0.0, decision.retry_delay.total_seconds())
    except Exception as second:  # the user's code: the task's own retries hold
        _show("retry_policy", second)
        return
    if decision.reason:
        sys.stderr.write("retry policy: %s: %s\n" % (action.lower(), decision.reason))


def late(target, context, asked):
    """Call what `target`, a task or a DAG, has for an end that its own process can't tell: see `asked["name"]`."""
    if asked.get("deadline"):
        _miss(asked["deadline"])
        return
    context["reason"] = asked.get("reason", "")
    if asked.get("error"):
        context["exception"] = RuntimeError(asked["error"])
    _call(target, asked["name"], context)


def _miss(asked):
    from . import missed

    try:
        missed.call(asked)
    except Exception as error:  # the user's code, beside the run
        _show("the callback %s of a deadline" % asked["path"], error)


def _kind(ending, instance):
    if ending["kind"] == "failed" and ending["retryable"] and instance.is_eligible_to_retry():
        return "retried"
    return ending["kind"]


_AFTER = {
    "succeeded": ("success", "on_success_callback"),
    "skipped": ("skipped", "on_skipped_callback"),
    "failed": ("failed", "on_failure_callback"),
    "retried": ("up_for_retry", "on_retry_callback"),
    "deferred": ("deferred", ""),
    "rescheduled": ("up_for_reschedule", ""),
}
"""The state after each kind of ending, and who is called."""


def _call(task, name, context):
    found = getattr(task, name, None) or ()
    for each in found if isinstance(found, (list, tuple)) else [found]:
        try:
            each(context)
        except Exception as error:  # the user's code, beside the task
            _show(name, error)


def _show(name, error):
    import traceback

    sys.stderr.write("%s failed:\n" % name)
    traceback.print_exception(type(error), error, error.__traceback__)
