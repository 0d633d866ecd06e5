"""Measures what docs/performance.md tells, beside the peers that are installed, and prints one table.

    python benchmarks/run.py [--only NAME]… [--quick] [--large] [--json]

Runs as root and as an ordinary account, in a home folder of its own that is removed at the end. What can't be measured
here is told with the reason. Budgets are the only figures that are written down.
"""

import argparse
import importlib
import json
import os
import platform
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ground import Ground
from measure import Figure, Samples, Skipped, SkippedError

# In this order: the scheduler's store is imported last, so that no fork before it carries it along.
FIGURES: Final = {
    "start": "container_start",
    "run": "container_run",
    "exec": "container_exec",
    "parallel": "parallel_starts",
    "many": "many_containers",
    "chain": "task_chain",
    "mapped": "mapped_tasks",
    "import": "import_time",
    "demo": "demo_again",
    "build": "image_build",
    "registry": "pull_push",
    "idle": "idle",
    "folder": "dag_folder",
    "restart": "restart",
    "scheduler": "scheduler",
    "store": "store",
}
_HEAD: Final = ("figure", "ours", "min-max", "n", "budget", "", "peer", "its median", "ratio")
_RIGHT: Final = frozenset({1, 3, 4, 7, 8})


def main() -> int:
    options = _parse(sys.argv[1:])
    machine = describe_machine()
    skipped: dict[str, str] = {}
    failed = False
    figures: list[Figure] = []
    loads: dict[str, float] = {}
    with Ground(quick=options.quick, large=options.large) as ground:
        for name in options.only or FIGURES:
            loads[name] = os.getloadavg()[0]
            print(f"measuring {name}, load {loads[name]:.1f}", file=sys.stderr, flush=True)
            try:
                figures += importlib.import_module(FIGURES[name]).measure(ground)
            except SkippedError as error:
                skipped[name] = str(error)
            except Exception:
                failed = True
                skipped[name] = "failed, see above"
                traceback.print_exc()
    if options.json:
        said = {"machine": machine, "load": loads, "figures": [each.to_dict() for each in figures], "skipped": skipped}
        print(json.dumps(said, indent=2))
    else:
        print("\n".join(render(figures, skipped, machine, loads)))
    return 1 if failed else 0


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/run.py", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", action="append", choices=list(FIGURES), help="measure this; may be given again")
    parser.add_argument("--quick", action="store_true", help="few rounds, and no demo")
    parser.add_argument(
        "--large", action="store_true", help="the scheduler with 100,000 tasks too, and 1,000 containers"
    )
    parser.add_argument("--json", action="store_true", help="everything that was measured, for programs")
    return parser.parse_args(argv)


def describe_machine() -> dict[str, Any]:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30),
        "kernel": platform.release().partition("-")[0],
        "system": _system(),
        "python": platform.python_version(),
        "account": "root" if os.geteuid() == 0 else "ordinary",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _system() -> str:
    lines = Path("/etc/os-release").read_text().splitlines() if Path("/etc/os-release").exists() else []
    names = [line.partition("=")[2].strip('"') for line in lines if line.startswith("PRETTY_NAME=")]
    return names[0] if names else platform.system()


def render(
    figures: Sequence[Figure], skipped: dict[str, str], machine: dict[str, Any], loads: dict[str, float]
) -> Iterator[str]:
    yield (
        f"{machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}, kernel {machine['kernel']}, "
        f"Python {machine['python']}, as {machine['account']}; load before each figure "
        f"{min(loads.values()):.1f}-{max(loads.values()):.1f}; {machine['at']}"
    )
    yield ""
    yield from _table([_HEAD, *(row for figure in figures for row in _rows(figure))])
    yield ""
    for figure in figures:
        yield from (f"{figure.title}: {note}" for note in figure.notes)
        peers = figure.peers.items()
        yield from (f"{figure.title}: no {name}: {peer.reason}" for name, peer in peers if isinstance(peer, Skipped))
    yield from (f"{name}: not measured: {reason}" for name, reason in skipped.items())


def _rows(figure: Figure) -> Iterator[tuple[str, ...]]:
    ours = figure.ours
    budget = "" if figure.budget is None else _value(figure.budget, figure.unit)
    head: tuple[str, ...] = (
        figure.title,
        _value(ours.median, figure.unit),
        f"{_number(ours.least, figure.unit)}-{_number(ours.most, figure.unit)}",
        str(len(ours.values)),
        budget,
        figure.verdict,
    )
    measured = [(name, peer) for name, peer in figure.peers.items() if isinstance(peer, Samples)]
    for name, peer in measured or [("", None)]:
        beside = (_value(peer.median, figure.unit), f"{figure.ratio(peer):.2f}") if peer else ("", "")
        yield (*head, name, *beside)
        head = ("",) * len(head)


def _value(value: float, unit: str) -> str:
    return f"{_number(value, unit)}{unit}" if unit == "/s" else f"{_number(value, unit)} {unit}"


def _number(value: float, unit: str) -> str:
    return f"{value:,.0f}" if unit == "/s" else f"{value:.2f}" if unit == "s" else f"{value:.1f}"


def _table(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    rows = list(rows)
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    for row in rows:
        cells = (
            cell.rjust(width) if column in _RIGHT else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()


if __name__ == "__main__":
    sys.exit(main())
