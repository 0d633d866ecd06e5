"""What an author says about retries by the exception that a task raised."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

__all__ = ["ExceptionRetryPolicy", "RetryAction", "RetryDecision", "RetryPolicy", "RetryRule"]


class RetryAction(StrEnum):
    """What becomes of a failed try."""

    RETRY = "retry"
    FAIL = "fail"
    DEFAULT = "default"


@dataclass(frozen=True)
class RetryDecision:
    """What a policy says of one failure; without `retry_delay` the task's own holds."""

    action: RetryAction = RetryAction.DEFAULT
    retry_delay: timedelta | None = None
    reason: str | None = None

    @classmethod
    def default(cls) -> "RetryDecision":
        """The task's own retries decide."""
        return cls()


class RetryPolicy:
    """Subclasses say in `evaluate` what becomes of a failed try."""

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Mapping[str, Any] | None = None
    ) -> RetryDecision:
        """The decision for this exception."""
        raise NotImplementedError(f"{type(self).__name__} has no evaluate()")


@dataclass(frozen=True)
class RetryRule:
    """What becomes of a try that failed with this exception, a class or its whole name; subclasses count too."""

    exception: "type[BaseException] | str"
    action: RetryAction = RetryAction.RETRY
    retry_delay: timedelta | None = None
    reason: str | None = None
    match_subclasses: bool = True

    def matches(self, exception: BaseException) -> bool:
        """Whether the rule is for this exception; a name is compared, so that nothing has to be imported for it."""
        kinds = type(exception).__mro__ if self.match_subclasses else (type(exception),)
        return any(self.exception in (kind, f"{kind.__module__}.{kind.__qualname__}", _bare(kind)) for kind in kinds)


class ExceptionRetryPolicy(RetryPolicy):
    """The first rule that is for the exception decides; `default` where none is."""

    def __init__(self, rules: Sequence[RetryRule], default: RetryAction = RetryAction.DEFAULT) -> None:
        self.rules = list(rules)
        self.default = default

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Mapping[str, Any] | None = None
    ) -> RetryDecision:
        for rule in self.rules:
            if rule.matches(exception):
                return RetryDecision(action=rule.action, retry_delay=rule.retry_delay, reason=rule.reason)
        return RetryDecision(action=self.default)

    def to_json(self) -> dict[str, Any]:
        """For a task that runs without its file: `runner.inside.rules` decides by it, as `evaluate` does."""
        rules = [
            {
                "names": _names(rule.exception),
                "action": rule.action.name,
                "delay_s": None if rule.retry_delay is None else rule.retry_delay.total_seconds(),
                "reason": rule.reason,
                "subclasses": rule.match_subclasses,
            }
            for rule in self.rules
        ]
        return {"rules": rules, "default": self.default.name}


def _names(exception: "type[BaseException] | str") -> list[str]:
    """How the exception may be called where its file isn't: there modules have other names."""
    if isinstance(exception, str):
        return [exception]
    is_moved = exception.__module__.startswith(("builtins", "airdock.", "dag_"))
    return [f"{exception.__module__}.{exception.__qualname__}", *([exception.__qualname__] if is_moved else [])]


def _bare(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else ""
