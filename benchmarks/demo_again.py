"""The second run of the demo: nothing is built, so what is left is running seven tasks."""

from dag_runs import run_dag
from ground import REPOSITORY, Ground
from measure import Figure, Samples, SkippedError

__all__ = ["NAME", "measure"]

NAME = "demo"
_DEMO = REPOSITORY / "examples/library_conflict"


def measure(ground: Ground) -> list[Figure]:
    if ground.quick:
        raise SkippedError("its first run builds four images from PyPI: not with --quick")
    first = run_dag(ground, _DEMO)
    runs = [run_dag(ground, _DEMO) for _ in range(5)]
    built = [build["label"] for each in runs for build in each.builds if not build["reused"]]
    tasks = Samples(tuple(each.tasks_s for each in runs))
    notes = [
        f"built {len(built)} images; the first run built "
        f"{sum(not build['reused'] for build in first.builds)} in {first.seconds:.1f} s all in all",
        f"from the first task queued until the last one ended {tasks.median:.2f} s",
    ]
    ours = Samples(tuple(each.seconds for each in runs))
    return [Figure(title="demo, second run", unit="s", ours=ours, is_met=not built, notes=notes)]
