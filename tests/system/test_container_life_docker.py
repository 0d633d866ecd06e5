"""The life of containers beside Docker's own engine: the same commands, the same answers."""

import json
import subprocess
from typing import Any

import pytest

Account = Any
Docker = Any
"""Those of the conftests; conftest can't be imported by name."""

CASES = [
    ["sh", "-c", "exit 0"],
    ["sh", "-c", "exit 3"],
    ["sh", "-c", "sh -c 'kill -9 $$'; exit $?"],
    ["sh", "-c", "echo out; echo err >&2"],
    ["no-such-command"],
    ["/etc/passwd"],
]


@pytest.fixture(scope="module")
def image(docker: Docker, root_account: Account, debian_base: Any) -> str:
    """One Debian in both stores."""
    name = "peer-life:1"
    taken = root_account.airdock("image", "import", str(debian_base), name)
    assert taken.returncode == 0, taken.stderr
    assert docker("import", str(debian_base), name).returncode == 0
    return name


@pytest.mark.parametrize("argv", CASES, ids=" ".join)
def test_an_end_is_told_as_docker_tells_it(docker: Docker, root_account: Account, image: str, argv: list[str]) -> None:
    ours = root_account.airdock("container", "run", "--name", "case", "--network", "none", image, *argv)
    theirs = docker("run", "--name", "case", "--network", "none", image, *argv, check=False)
    try:
        assert ours.returncode == theirs.returncode
        mine, his = (_inspect(run) for run in (lambda *a: root_account.airdock("container", *a), docker))
        for field in ("Status", "Running", "Paused", "Restarting", "OOMKilled", "Dead", "Pid", "ExitCode"):
            assert mine["State"][field] == his["State"][field], field
        for field in ("Path", "Args", "Name", "RestartCount"):
            assert mine[field] == his[field], field
        assert set(mine["State"]) == set(his["State"])
        assert mine["HostConfig"]["RestartPolicy"] == his["HostConfig"]["RestartPolicy"]
        assert mine["HostConfig"]["LogConfig"] == his["HostConfig"]["LogConfig"]
        if ours.returncode < 125:
            assert (ours.stdout, ours.stderr) == (theirs.stdout.decode(), theirs.stderr.decode())
        rows = [
            json.loads(run("ps", "-a", "--filter", "name=case", "--format", "{{json .}}").stdout)
            for run in (lambda *a: root_account.airdock("container", *a), docker)
        ]
        assert set(rows[0]) >= set(rows[1])
        assert rows[0]["State"] == rows[1]["State"]
        assert rows[0]["Status"].partition(")")[0] == rows[1]["Status"].partition(")")[0]
    finally:
        root_account.airdock("container", "rm", "-f", "case")
        docker("rm", "-f", "case", check=False)


def _inspect(run: Any) -> dict[str, Any]:
    ended: subprocess.CompletedProcess[str] = run("inspect", "case")
    [document] = json.loads(ended.stdout)
    return dict(document)
