"""Airflow's import names are ours, and a name that isn't there yet says so."""

import importlib
import sys
from collections.abc import Iterator

import pytest

from airdock import compat
from airdock.compat.names import MODULES


@pytest.fixture(autouse=True)
def installed() -> Iterator[None]:
    compat.install()
    compat.install()
    yield
    compat.uninstall()


@pytest.mark.parametrize("module", sorted(MODULES))
def test_every_name_is_really_there(module: str) -> None:
    found = importlib.import_module(module)
    assert found.__all__ == sorted(MODULES[module])
    for name, target in MODULES[module].items():
        home, _, attribute = target.partition(":")
        assert getattr(found, name) is getattr(importlib.import_module(home), attribute)


def test_the_classes_are_the_same_from_everywhere() -> None:
    from airflow import DAG
    from airflow.models import BaseOperator
    from airflow.operators.bash import BashOperator
    from airflow.providers.standard.operators.bash import BashOperator as Standard

    import airdock.sdk

    assert DAG is airdock.sdk.DAG
    assert BaseOperator is airdock.sdk.BaseOperator
    assert BashOperator is Standard


def test_modules_are_reached_through_their_packages() -> None:
    import airflow

    assert airflow.sdk.DAG is airflow.DAG
    assert not hasattr(airflow, "__author__")
    assert airflow.__version__ == airflow.version.version


def test_a_missing_name_says_which_and_what_is_near() -> None:
    with pytest.raises(ImportError, match=r"has no airflow\.sdk\.XComArgs yet; did you mean 'XComArg' or 'XCom'\?"):
        from airflow.sdk import XComArgs  # noqa: F401
    with pytest.raises(ImportError, match=r"has no airflow\.decorators\.DAG yet; it is in airflow"):
        from airflow.decorators import DAG  # noqa: F401
    with pytest.raises(ImportError, match=r"airflow\.operators\.empty has EmptyOperator"):
        from airflow.operators.empty import Zzz  # noqa: F401


def test_a_missing_module_is_named_too() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"no module airflow\.operators\.bsh yet; did you mean") as caught:
        importlib.import_module("airflow.operators.bsh")
    assert caught.value.name == "airflow.operators.bsh"
    with pytest.raises(ModuleNotFoundError, match=r"no module airflow\.providers\.amazon yet"):
        importlib.import_module("airflow.providers.amazon")


@pytest.mark.parametrize(
    "line",
    [
        "from airflow.models import Pool; Pool.get_pools()",
        "from airflow.models import DagModel; DagModel.get_dagmodel('d')",
        "from airflow.utils.session import create_session; create_session().__enter__()",
        "from airflow.settings import Session; Session().query(1)",
        "from airflow.models import DagBag; DagBag()",
        "from airflow.providers.docker.hooks.docker import DockerHook; DockerHook('x').api_client",
    ],
)
def test_what_tasks_have_no_way_to_says_so(line: str) -> None:
    with pytest.raises((RuntimeError, NotImplementedError), match=r"tasks|hooks|DagBag"):
        exec(line)


def test_what_is_kept_and_does_nothing() -> None:
    from airflow.providers.cncf.kubernetes.secret import Secret
    from airflow.sdk import get_parsing_context
    from airflow.stats import Stats

    assert Secret("env", None, "name").args == ("env", None, "name")
    assert get_parsing_context() == (None, None)
    Stats.incr("a")
    with Stats.timer("a"):
        Stats.gauge("a", 1)


def test_nothing_stays_behind() -> None:
    importlib.import_module("airflow.sdk")
    compat.uninstall()
    assert not [name for name in sys.modules if name.partition(".")[0] == "airflow"]
    with pytest.raises(ModuleNotFoundError, match="No module named 'airflow'"):
        importlib.import_module("airflow")


def test_other_imports_are_left_alone() -> None:
    with pytest.raises(ModuleNotFoundError, match="No module named 'no_such_module'"):
        importlib.import_module("no_such_module")
