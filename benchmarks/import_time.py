"""What `import airdock` costs, and `import airdock.sdk`, which every DAG file begins with."""

import importlib.util
import sys

from ground import Ground, run
from measure import Contestant, Figure, SkippedError, contest

__all__ = ["NAME", "measure"]

NAME = "import"
BUDGET_MS = 40.0


def measure(ground: Ground) -> list[Figure]:
    return [
        _figure(ground, "airdock", peer="airflow", budget=BUDGET_MS),
        _figure(ground, "airdock.sdk", peer="airflow.sdk", budget=None),
    ]


def _figure(ground: Ground, module: str, *, peer: str, budget: float | None) -> Figure:
    peers = {f"import {peer}": lambda: _peer(ground, peer)}
    ours, measured = contest(_importing(ground, module), peers, rounds=ground.rounds(25, 5))
    notes = ["measured inside: without the start of Python"]
    return Figure(title=f"import {module}", unit="ms", ours=ours, budget=budget, peers=measured, notes=notes)


def _importing(ground: Ground, module: str) -> Contestant:
    program = f"from time import perf_counter as now; began = now(); import {module}; print((now() - began) * 1000)"
    return lambda: float(run([sys.executable, "-c", program], env=ground.env))


def _peer(ground: Ground, module: str) -> Contestant:
    if importlib.util.find_spec(module.partition(".")[0]) is None:
        raise SkippedError("not installed")
    return _importing(ground, module)
