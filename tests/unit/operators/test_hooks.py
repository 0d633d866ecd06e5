"""Hooks of the standard provider."""

from pathlib import Path

import pytest

from airdock.operators.hooks import FSHook, SubprocessHook


def test_a_program(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    hook = SubprocessHook()
    result = hook.run_command(["bash", "-c", "echo one; echo $A; pwd; exit 3"], env={"A": "two"}, cwd=str(tmp_path))
    assert (result.exit_code, result.output) == (3, str(tmp_path))
    assert capfd.readouterr().out == f"one\ntwo\n{tmp_path}\n"
    assert hook.run_command(["printf", "a\nb"], return_full_output=True) == (0, "a\nb")
    assert hook.run_command(["true"]).output == ""
    hook.send_sigterm()


def test_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_FS_DEFAULT", '{"conn_type": "fs", "extra": {"path": "/data"}}')
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", "fs://")
    assert (FSHook().get_path(), FSHook("other").get_path()) == ("/data", "")
    with pytest.raises(KeyError, match="`missing` isn't defined"):
        FSHook("missing").get_path()
