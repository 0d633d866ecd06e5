"""What `import airdock` costs, and `import airdock.sdk`, which every DAG file begins with."""

import importlib.util
import sys

from ground import Ground, run
from measure import Contestant, Figure, SkippedError, contest

__all__ = ["NAME", "measure"]

NAME = "import"
BUDGET_MS = 40.0


def measure(ground: Ground) -> list[Figure]:
    rounds = ground.rounds(25, 5)
    package, peers = contest(_importing("airdock"), {"import airflow": lambda: _peer("airflow")}, rounds=rounds)
    sdk, sdk_peers = contest(
        _importing("airdock.sdk"), {"import airflow.sdk": lambda: _peer("airflow.sdk")}, rounds=rounds
    )
    return [
        Figure(title="import airdock", unit="ms", ours=package, budget=BUDGET_MS, peers=peers),
        Figure(title="import airdock.sdk", unit="ms", ours=sdk, peers=sdk_peers, notes=["without starting Python"]),
    ]


def _importing(module: str) -> Contestant:
    program = f"from time import perf_counter as now; began = now(); import {module}; print((now() - began) * 1000)"
    return lambda: float(run([sys.executable, "-c", program]))


def _peer(module: str) -> Contestant:
    if importlib.util.find_spec(module.partition(".")[0]) is None:
        raise SkippedError("not installed")
    return _importing(module)
