"""Runs of DAG files as a user starts them, and when their tasks were queued and ended."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ground import Ground

__all__ = ["DagRun", "run_dag"]


@dataclass(frozen=True, kw_only=True)
class DagRun:
    """`seconds` is the whole process. Times are what the scheduler and the supervisor noted."""

    seconds: float
    events: Sequence[dict[str, Any]]

    @property
    def outcomes(self) -> list[dict[str, Any]]:
        return [event["outcome"] for event in self.events if event.get("outcome")]

    @property
    def builds(self) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == "build_finished"]

    @property
    def tasks_s(self) -> float:
        """From the first task that was queued until the last one ended."""
        times = [outcome["times"] for outcome in self.outcomes]
        queued = min(datetime.fromisoformat(each["queued"]) for each in times)
        return (max(datetime.fromisoformat(each["ended"]) for each in times) - queued).total_seconds()


def run_dag(ground: Ground, path: Path, *flags: str) -> DagRun:
    began = time.perf_counter()
    printed = ground.run_airdock("run", "--json", *flags, path)
    seconds = time.perf_counter() - began
    return DagRun(seconds=seconds, events=[json.loads(line) for line in printed.splitlines()])
