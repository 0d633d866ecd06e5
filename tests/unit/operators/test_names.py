"""Operators by name, without importing those that nobody asked for."""

import subprocess
import sys

import pytest

import airdock.operators


def test_every_operator_is_found_by_its_name() -> None:
    for name in airdock.operators.__all__:
        assert getattr(airdock.operators, name).__name__ == name
    with pytest.raises(ImportError, match="SparkOperator"):
        from airdock.operators import SparkOperator  # type: ignore[attr-defined]  # noqa: F401 - the refusal is tested


def test_one_operator_costs_no_other() -> None:
    program = "import sys; from airdock.operators import EmptyOperator; print('airdock.operators.bash' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "False\n"
