"""DAG files for fault tests, and what each of their task instances has to end as.

Every try takes a lock that its task instance has to itself, and says so in `/workspace/ledger` when it begins and when
it ends: `NAME TRY begin|end|twice SECONDS PID`. `twice` is said by a try that finds another try of the same task
instance at work, whatever pid and machine that has.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["TRIES", "DagFile", "make_dag_file"]

TRIES = 3
"""How often a task fails that does so for good."""

_HEAD = '''\
from datetime import datetime, timedelta

from airdock.operators.bash import BashOperator
from airdock.operators.empty import EmptyOperator
from airdock.sdk import DAG, task

SHELL = """
name='{{ ti.task_id }}' try={{ ti.try_number }}
exec 9>> "/workspace/lock-$name"
flock -n 9 || echo "$name $try twice $EPOCHREALTIME $$" >> /workspace/ledger
echo "$name $try begin $EPOCHREALTIME $$" >> /workspace/ledger
sleep 0.05
echo "$name $try end $EPOCHREALTIME $$" >> /workspace/ledger
"""
LITTLE = {"retry_delay": timedelta(seconds=0.05)}


def step(name, fails=0, retries=1, rule="all_success"):
    """Fails its first `fails` tries; one more may be killed."""
    wrong = f"test {{{{ ti.try_number }}}} -gt {fails}"
    return BashOperator(task_id=name, bash_command=SHELL + wrong, retries=retries, trigger_rule=rule, **LITTLE)


def work(name, fails):
    import fcntl
    import os
    import time

    from airdock.sdk import get_current_context

    number = get_current_context()["ti"].try_number

    def say(what):
        line = f"{name} {number} {what} {time.time():.6f} {os.getpid()}\\\\n"
        with open("/workspace/ledger", "a") as ledger:
            ledger.write(line)

    with open(f"/workspace/lock-{name}", "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("twice")
        say("begin")
        time.sleep(0.02)
        say("end")
        if number <= fails:
            raise RuntimeError("on purpose")
    return name


'''.replace("\\\\n", "\\n")

_CHAIN = """
    line = [step(f"link_{n}") for n in range(12)]
    for above, below in zip(line, line[1:]):
        above >> below
"""

_FAN = """
    first, last = step("first"), step("last")
    for n in range(24):
        first >> step(f"wide_{n}", fails=int(n % 5 == 0), retries=2) >> last
"""

_MAPPED = """
    @task(retries=2, **LITTLE)
    def names():
        work("names", 0)
        return [f"each[{n}]" for n in range(30)]

    @task(retries=2, **LITTLE)
    def each(name):
        return work(name, 1 if name.endswith("7]") else 0)

    @task(retries=1, **LITTLE)
    def total(found):
        work("total", 0)
        assert sorted(found) == sorted(f"each[{n}]" for n in range(30)), found

    total(each.expand(name=names()))
"""

_TROUBLE = """
    for n in range(4):
        step(f"flaky_{n}", fails=2, retries=3) >> step(f"after_{n}")
        broken = step(f"broken_{n}", fails=99, retries=2)
        broken >> step(f"never_{n}")
        broken >> step(f"mends_{n}", rule="all_failed") >> EmptyOperator(task_id=f"empty_{n}") >> step(f"end_{n}")
"""


@dataclass(frozen=True, kw_only=True)
class DagFile:
    """`states` is what each task instance ends as, by its label; `failing` up to which try it
    fails on purpose. What ends as failed has failed `TRIES` times."""

    dag_id: str
    text: str
    state: str
    states: Mapping[str, str]
    failing: Mapping[str, int]


def _chain() -> tuple[dict[str, str], dict[str, int]]:
    return {f"link_{n}": "success" for n in range(12)}, {}


def _fan() -> tuple[dict[str, str], dict[str, int]]:
    names = ["first", "last", *(f"wide_{n}" for n in range(24))]
    return dict.fromkeys(names, "success"), {f"wide_{n}": 1 for n in range(0, 24, 5)}


def _mapped() -> tuple[dict[str, str], dict[str, int]]:
    names = ["names", "total", *(f"each[{n}]" for n in range(30))]
    return dict.fromkeys(names, "success"), {f"each[{n}]": 1 for n in (7, 17, 27)}


def _trouble() -> tuple[dict[str, str], dict[str, int]]:
    states, failing = {}, {}
    for n in range(4):
        states |= dict.fromkeys([f"{name}_{n}" for name in ("flaky", "after", "mends", "empty", "end")], "success")
        states |= {f"broken_{n}": "failed", f"never_{n}": "upstream_failed"}
        failing |= {f"flaky_{n}": 2, f"broken_{n}": 99}
    return states, failing


_SHAPES = {
    "chain": (_CHAIN, _chain),
    "fan": (_FAN, _fan),
    "mapped": (_MAPPED, _mapped),
    "trouble": (_TROUBLE, _trouble),
}


def make_dag_file(number: int, rng: random.Random) -> DagFile:
    """The file of that number; each shape comes once in four."""
    shapes = list(_SHAPES)
    shape = shapes[number % len(shapes)]
    body, expect = _SHAPES[shape]
    dag_id = f"{shape}_{number}"
    slots = rng.choice((2, 3, 16))
    head = f'with DAG("{dag_id}", schedule="@once", start_date=datetime(2024, 1, 1), max_active_tasks={slots}):\n'
    states, failing = expect()
    state = "failed" if any(states[name] != "success" for name in states if name.startswith("never")) else "success"
    return DagFile(dag_id=dag_id, text=_HEAD + head + body.lstrip("\n"), state=state, states=states, failing=failing)
