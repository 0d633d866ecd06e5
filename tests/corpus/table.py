"""Writes the table of Airflow's example files into docs/airflow.md: `python tests/corpus/table.py [-]`.

With `-` it is printed instead. It is made from what the tests of this folder hold, so it is no better and no worse than
what they show.
"""

import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.corpus.endings import CANNOT_RUN, ENDINGS, OUTSIDE, SERVED  # noqa: E402 -- a script beside its modules
from tests.corpus.known import CANNOT_LOAD, EXPECTED  # noqa: E402

__all__ = ["END", "PAGE", "START", "render"]

PAGE: Final = ROOT / "docs/airflow.md"
START: Final = "<!-- corpus: made by python tests/corpus/table.py -->\n"
END: Final = "<!-- end of corpus -->\n"


def render() -> str:
    """The sums, then a row for each file."""
    loading = [name for name in EXPECTED if name not in CANNOT_LOAD]
    dags, tasks = (sum(numbers) for numbers in zip(*(EXPECTED[name] for name in loading), strict=True))
    rows = [each for each in (*ENDINGS, *SERVED) if each.file in loading]
    ending = [each for each in rows if each.dag_id not in CANNOT_RUN]
    return "\n".join(
        [
            START,
            f"{len(loading)} of {len(EXPECTED)} files load, with {dags} of "
            f"{sum(each for each, _ in EXPECTED.values())} DAGs and {tasks} of "
            f"{sum(each for _, each in EXPECTED.values())} tasks.\nOf the {len(rows)} DAGs that are held to an end, "
            f"{len(ending)} run in containers and end as they have to.",
            "",
            "| file | DAGs | tasks | loads | runs |",
            "|---|---|---|---|---|",
            *(_row(name) for name in EXPECTED),
            "",
            END,
        ]
    )


def _row(name: str) -> str:
    dags, tasks = EXPECTED[name]
    if name in CANNOT_LOAD:
        return f"| {name} | {dags} | {tasks} | not yet: `{CANNOT_LOAD[name]}` | |"
    return f"| {name} | {dags} | {tasks} | yes | {_runs(name)} |"


def _runs(name: str) -> str:
    ids = [each.dag_id for each in (*ENDINGS, *SERVED) if each.file == name]
    missing = sorted({CANNOT_RUN[each] for each in ids if each in CANNOT_RUN})
    if missing:
        return "not yet: " + "; ".join(missing)
    return "yes" if ids else OUTSIDE[name]


def main() -> None:
    """The command."""
    if sys.argv[1:] == ["-"]:
        sys.stdout.write(render())
        return
    before, _, rest = PAGE.read_text().partition(START)
    PAGE.write_text(before + render() + rest.partition(END)[2])


if __name__ == "__main__":
    main()
