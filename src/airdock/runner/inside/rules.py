"""What a retry policy says of a failure, where the policy is rules that came with the payload."""

import sys

__all__ = ["judge"]

_MOVED = ("builtins", "airdock_task", "airdock_runner")


def judge(policy, ending, error):
    """Let the first rule that is for the exception decide; the task's own retries where none is."""
    for rule in policy["rules"]:
        kinds = type(error).__mro__ if rule["subclasses"] else (type(error),)
        if any(name in rule["names"] for kind in kinds for name in _names(kind)):
            break
    else:
        rule = {"action": policy["default"], "delay_s": None, "reason": None}
    if rule["action"] == "FAIL":
        ending["retryable"] = False
    elif rule["action"] == "RETRY" and rule["delay_s"] is not None:
        ending["delay_s"] = max(0.0, rule["delay_s"])
    if rule["reason"]:
        sys.stderr.write("retry policy: %s: %s\n" % (rule["action"].lower(), rule["reason"]))


def _names(kind):
    name = kind.__qualname__
    return [kind.__module__ + "." + name] + ([name] if kind.__module__.partition(".")[0] in _MOVED else [])
