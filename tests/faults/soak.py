"""Faults on a real scheduler, by a seed: `python tests/faults/soak.py [--seed N] [--kills N] [--tasks N]`."""

import argparse
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from campaign import Campaign, Fault, plan_kills
from disks import unmount

from airdock.runner import supervisor
from airdock.scheduler import points


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=200, help="processes killed with SIGKILL")
    parser.add_argument("--tasks", type=int, default=1000, help="task instances at least")
    parser.add_argument("--fault", action="append", default=[], help="one more: lock:S, full:S, away:S or clock:S")
    parser.add_argument("--keep", action="store_true", help="keep the home, and say where it is")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that nothing is left running
    rng = random.Random(options.seed)
    folder = Path(tempfile.mkdtemp(prefix="airdock-faults-"))
    kills = plan_kills((*points.POINTS, *supervisor.POINTS), options.kills, rng)
    for number, what in enumerate(options.fault):
        kills.insert((number + 1) * len(kills) // (len(options.fault) + 1), Fault(what=what))
    try:
        report = Campaign(folder, kills=kills, tasks=options.tasks, rng=rng).run()
    finally:
        unmount(folder / "home")
    print("\n".join([f"seed {options.seed}", *report.lines()]))
    if options.keep or report.wrong:
        print(f"kept {folder}")
    else:
        shutil.rmtree(folder)
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
