"""What the author wants to be called around a task: before it, and once the supervisor knows how it ended."""

import sys

__all__ = ["after", "before"]


def before(task, context):
    """Call the task's `on_execute_callback`."""
    _call(task, "on_execute_callback", context)


def after(task, context, ending, error):
    """Call what the task has for this ending, which was told already: nothing that goes wrong here changes it."""
    name = _name(ending, context["ti"])
    if not name or not getattr(task, name, None):
        return
    if error is not None:
        context["exception"] = error
        context["reason"] = ending.get("reason", "")
    _call(task, name, context)


def _name(ending, instance):
    kind = ending["kind"]
    if kind == "failed":
        again = ending["retryable"] and instance.is_eligible_to_retry()
        return "on_retry_callback" if again else "on_failure_callback"
    return {"succeeded": "on_success_callback", "skipped": "on_skipped_callback"}.get(kind)


def _call(task, name, context):
    found = getattr(task, name, None) or ()
    for each in found if isinstance(found, (list, tuple)) else [found]:
        try:
            each(context)
        except Exception as error:  # the user's code, beside the task
            import traceback

            sys.stderr.write("%s failed:\n" % name)
            traceback.print_exception(type(error), error, error.__traceback__)
