"""A weather report whose tasks can't share one Python environment.

Two teams wrote a report over the same 1,461 days of weather in Seattle. One never left pandas 1.5 (it calls what
pandas 2 removed), the other needs pandas 2.2 (it calls what pandas 1 lacks). Here both run at the same time, each task
in a container of its own, and a last task checks that they agree.

    extract ─┬─> legacy_report ─┬─> compare
             ├─> modern_report ─┤
             ├─> chart ─────────┤
    tools ───┴──────────────────┘   (and other_python, where another Python is found)
"""

import os
import platform
import sys

from airdock.operators.container import ContainerOperator
from airdock.sdk import DAG, find_pythons, get_current_context, task

HOT = 25.0

# pandas 1.5.3 has wheels up to Python 3.11. On a newer Python the legacy task asks for a 3.11 that this machine has;
# where there is none, it takes the newest pair of pandas that clashes and has wheels.
SERVER = f"{sys.version_info.major}.{sys.version_info.minor}"
PYTHONS = find_pythons()
if SERVER == "3.11" or "3.11" in PYTHONS:
    LEGACY = ["pandas==1.5.3", "numpy<2"]
    LEGACY_PYTHON = None if SERVER == "3.11" else "3.11"
    MODERN = ["pandas>=2.2", "numpy>=2"]
else:
    # numpy 1 has wheels up to Python 3.12.
    LEGACY = ["pandas==2.3.3", "numpy<2"] if SERVER == "3.12" else ["pandas==2.3.3"]
    LEGACY_PYTHON = None
    MODERN = ["pandas>=3", "numpy>=2"]
    print(
        f"pandas 1.5.3 has no wheels for Python {SERVER}, and no Python 3.11 is here: "
        f"{LEGACY[0]} against pandas 3 instead"
    )

OTHERS = [version for version in ("3.9", "3.10", "3.8", "3.12", "3.13", "3.11", "3.7") if version != SERVER]
OTHER = next((version for version in OTHERS if version in PYTHONS), None)
if OTHER is None:
    print(f"no Python other than {SERVER} is on this machine: the task other_python is left out")


def shared(name: str) -> str:
    """The path of a file in the run's folder, which all its tasks see; in a container that is /workspace."""
    return os.path.join(os.environ["AIRDOCK_WORKSPACE"], name)


@task(requirements=["vega_datasets==0.9.0"])
def extract() -> dict:
    """Writes the data set that the package carries to the run's folder."""
    from vega_datasets import data

    weather = data.seattle_weather()
    path = shared("seattle-weather.csv")
    weather.to_csv(path, index=False)
    print(f"wrote {len(weather)} days to {path}")
    return {"days": len(weather), "file": path}


@task(requirements=LEGACY, python=LEGACY_PYTHON)
def legacy_report(source: dict) -> dict:
    """As it was written for pandas 1: DataFrame.append is gone since pandas 2."""
    import numpy
    import pandas

    weather = pandas.read_csv(source["file"], parse_dates=["date"])
    years = pandas.DataFrame()
    for year, days in weather.groupby(weather["date"].dt.year):
        row = {
            "year": int(year),
            "mean_high": round(float(days["temp_max"].mean()), 3),
            "wet_days": int((days["precipitation"] > 0).sum()),
            "hot_days": int((days["temp_max"] > HOT).sum()),
        }
        if hasattr(years, "append"):
            years = years.append(row, ignore_index=True)
        else:  # pandas 2.1 to 2.3: applymap is what pandas 3 removed
            years = pandas.concat([years, pandas.DataFrame([row]).applymap(lambda value: value)])
    rows = {
        str(int(row["year"])): [row["mean_high"], int(row["wet_days"]), int(row["hot_days"])]
        for _, row in years.iterrows()
    }
    print(years.to_string(index=False))
    return {"pandas": pandas.__version__, "numpy": numpy.__version__, "years": rows}


@task(requirements=MODERN)
def modern_report(source: dict) -> dict:
    """As it was written for pandas 2.2: Series.case_when came with it, DataFrame.map with 2.1."""
    import numpy
    import pandas

    weather = pandas.read_csv(source["file"], parse_dates=["date"])
    kind = weather["temp_max"].case_when([(weather["temp_max"] > HOT, 1), (weather["temp_max"] <= HOT, 0)])
    years = (
        weather.assign(year=weather["date"].dt.year, wet=weather["precipitation"] > 0, hot=kind)
        .groupby("year")
        .agg(mean_high=("temp_max", "mean"), wet_days=("wet", "sum"), hot_days=("hot", "sum"))
        .map(lambda value: round(float(value), 3))
    )
    print(years.to_string())
    rows = {str(year): [row.mean_high, int(row.wet_days), int(row.hot_days)] for year, row in years.iterrows()}
    return {"pandas": pandas.__version__, "numpy": numpy.__version__, "years": rows}


@task(dockerfile="chart/Dockerfile")
def chart(source: dict) -> str:
    """Draws the highs of every month; its image is built from a Dockerfile beside this file."""
    import csv

    from matplotlib import pyplot

    months: dict = {}
    with open(source["file"], newline="") as file:
        for day in csv.DictReader(file):
            months.setdefault(day["date"][:7], []).append(float(day["temp_max"]))
    figure, axes = pyplot.subplots(figsize=(9, 3.5))
    axes.plot(range(len(months)), [sum(highs) / len(highs) for highs in months.values()], color="tab:orange")
    axes.set(title="Seattle: mean daily high of each month", ylabel="°C")
    axes.set_xticks(range(0, len(months), 6), list(months)[::6], rotation=30)
    figure.tight_layout()
    figure.savefig(shared("chart.png"), dpi=120)
    return shared("chart.png")


@task(python=OTHER)
def other_python() -> str:
    """Runs on a Python that isn't the server's."""
    return platform.python_version()


@task
def compare(legacy: dict, modern: dict, picture: str) -> dict:
    """Needs nothing, so it runs on the host image: checks that both reports agree."""
    if legacy["years"] != modern["years"]:
        raise ValueError(f"the reports differ: {legacy['years']} and {modern['years']}")
    context = get_current_context()
    print(f"both reports agree on {len(legacy['years'])} years")
    print(f"legacy_report: pandas {legacy['pandas']}, numpy {legacy['numpy']}")
    print(f"modern_report: pandas {modern['pandas']}, numpy {modern['numpy']}")
    for name, digest in sorted(context["images"].items()):
        print(f"{name:<14} {digest}")
    return {"pandas": [legacy["pandas"], modern["pandas"]], "chart": picture}


with DAG("library_conflict", schedule=None, doc_md=__doc__):
    tools = ContainerOperator(task_id="tools", dockerfile="tools/Dockerfile", command=["--version"])
    weather = extract()
    report = compare(legacy_report(weather), modern_report(weather), chart(weather))
    tools >> report
    if OTHER is not None:
        other_python() >> report
