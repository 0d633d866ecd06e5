"""A process that makes or resumes a run of six tasks on real programs, and kills itself at a named point.

    run_programs.py FOLDER run|resume [POINT:COUNT]

Each program appends to FOLDER/log when it begins and when it ends. `flaky` fails its first try.
"""

import os
import signal
import sys
from pathlib import Path

from airdock.dag.serialized import SerializedDag, SerializedTask
from airdock.executors.local import LocalExecutor
from airdock.executors.programs import Programs
from airdock.model.environment import Environment
from airdock.model.keys import RunKey
from airdock.model.mount import Mount
from airdock.model.states import RunState
from airdock.orchestrator import Orchestrator, make_owner
from airdock.scheduler.loop import Scheduler
from airdock.scheduler.prepare import Prepared
from airdock.store.records import Pool
from airdock.store.sql import SqlStore

PROGRAM = """
echo "$AIRDOCK_TASK $AIRDOCK_TRY begin $$" >> "$LOG"
sleep 0.05
if [ "$AIRDOCK_TASK" = flaky ] && ! [ -e "$LOG.failed" ]; then
    : > "$LOG.failed"
    echo "$AIRDOCK_TASK $AIRDOCK_TRY end $$" >> "$LOG"
    exit 3
fi
echo "$AIRDOCK_TASK $AIRDOCK_TRY end $$" >> "$LOG"
"""


class AtOnce:
    def request(self, environment: Environment, *, where: str, answer: object) -> None:
        assert callable(answer)
        answer(Prepared(environment=environment, digest="sha256:0"))


def make_dag(log: Path) -> SerializedDag:
    def task(task_id: str, *upstream: str, mapped: int = 0) -> SerializedTask:
        return SerializedTask(
            task_id=task_id,
            operator="bash",
            upstream=upstream,
            mode="command",
            argv=("/bin/sh", "-c", PROGRAM),
            env={"LOG": str(log)},
            retries=1 if task_id == "flaky" else 0,
            retry_delay_s=0.01,
            pool="two",
            expand={"x": {"length": mapped}} if mapped else None,
        )

    empty = SerializedTask(task_id="join", operator="empty", upstream=("left", "flaky", "right"), mode="none")
    tasks = (
        task("first"),
        task("left", "first"),
        task("flaky", "first"),
        task("right", "first", mapped=2),
        empty,
        task("last", "join"),
    )
    return SerializedDag(dag_id="programs", fileloc="/dags/programs.py", tasks=tasks)


def main(folder: Path, verb: str, kill_at: str) -> int:
    point, _, count = kill_at.partition(":")
    left = int(count or 1)

    def reached(name: str) -> None:
        nonlocal left
        if name == point:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    store = SqlStore(path=folder / "airdock.db")
    store.save_pools([Pool(name="two", slots=2)])
    executor = LocalExecutor(supervise=Programs(folder=folder / "run"), slots=4)
    scheduler = Scheduler(
        store=store,
        executors={"local": executor},
        default_executor="local",
        prepare=AtOnce(),
        folders=lambda _run: (Mount(source=str(folder), target="/workspace", read_only=False),),
        place=lambda _fileloc: (),
        owner=make_owner(),
        reached=reached,
    )
    orchestrator = Orchestrator(store=store, scheduler=lambda: scheduler, reached=reached)
    executor.start()
    try:
        if verb == "run":
            state = orchestrator.run(orchestrator.create_run(make_dag(folder / "log"), run_id="one"))
        else:
            state = orchestrator.resume(RunKey(dag_id="programs", run_id="one"))
    finally:
        executor.stop()
        executor.join()
        store.close()
    return 0 if state is RunState.SUCCESS else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else ""))
