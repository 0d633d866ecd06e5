"""Environments as real images, for each kind of account: built with uv from the machine's index, and run."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PARTS = """
import json, os, sys
from pathlib import Path
from airdock.clock import SystemClock
from airdock.engine import Engine, RunRequest
from airdock.environments.host import HostImage
from airdock.environments.images import ImageEnvironments
from airdock.environments.index import load_index_settings
from airdock.environments.python import Pythons
from airdock.errors import AirdockError
from airdock.images.store import ImageStore
from airdock.model.environment import Environment
from airdock.model.progress import BuildOutput, BuildStep
from airdock.model.mount import Mount
from airdock.runtime.launcher import Launcher

home = Path.home() / "environments-test"
launcher = Launcher(folder=home / "run")
launcher.start()
images = ImageStore(root=home / "images", calls=launcher)
pythons = Pythons(memory=home / "cache/pythons.json", home=Path.home(), path=os.environ["PATH"],
                  search=tuple(filter(None, [os.environ.get("SEARCH")])))
host = HostImage(images=images, pythons=pythons, memory=home / "cache")
engine = Engine(images=lambda: images, launcher=lambda: launcher, containers=home / "run/containers",
                cache=home / "cache/build", clock=SystemClock(), builtin=host.find, trusts=host.made)
lines, steps = [], []

def take(progress):
    if isinstance(progress, BuildOutput):
        lines.append(progress.line)
    elif isinstance(progress, BuildStep):
        steps.append(progress)

def environments(report=take, **settings):
    index = load_index_settings(environ=os.environ, home=Path.home())
    return ImageEnvironments(engine=engine, host=host, folder=home / "cache/environments", index=index, report=report,
                             **settings)

def prepare(base="host", **asked):
    try:
        made = environments(base=base).prepare(Environment(**asked), where="task report")
        return {"digest": made.digest, "reused": made.reused, "python": made.python}
    except AirdockError as error:
        return error.to_dict()

def run(digest, *argv, **more):
    reading, writing = os.pipe()
    nothing = os.open(os.devnull, os.O_RDONLY)
    container = engine.run(images.find(digest), RunRequest(argv=argv, **more), stdin=nothing, stdout=writing,
                           stderr=writing)
    for descriptor in (nothing, writing):
        os.close(descriptor)
    with open(reading) as file:
        printed = file.read()
    code = container.wait().exit_code
    container.remove()
    return [code, printed.strip()]

result = {}
try:
    exec(os.environ["PROGRAM"])
finally:
    result["left"] = sorted(path.name for path in (home / "run/containers").glob("*"))
    result["left"] += sorted(path.name for path in (home / "cache/environments").glob("[iw]*-*"))
    images.close()
    launcher.stop()
    launcher.join()
print(json.dumps(result))
"""

Do = Callable[..., dict[str, Any]]


@pytest.fixture
def do(account, unchanged_machine) -> Iterator[Do]:
    """Runs a program over the parts above as the account, and checks that it left nothing."""

    def do(program: str, **env: str) -> dict[str, Any]:
        done = account.run(account.python, "-c", PARTS, env={"PROGRAM": program, **env})
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout.splitlines()[-1])
        assert result.pop("left") == []
        return result

    yield do
    if account.name == "root":
        shutil.rmtree(account.home / "environments-test", ignore_errors=True)


def test_requirements_become_an_image_once(do: Do) -> None:
    program = """
result["first"] = prepare(requirements=("six", "idna<4"))
result["second"] = prepare(requirements=("idna < 4", "Six"))
code = "import six, idna, sys; print(six.__cached__.startswith(sys.prefix), sys.prefix, idna.__name__)"
result["run"] = run(result["first"]["digest"], "python", "-c", code)
cached = "import six, os; print(os.path.exists(six.__cached__))"
result["cached"] = run(result["first"]["digest"], "python", "-c", cached)
result["lock"] = run(result["first"]["digest"], "cat", "/opt/airdock/requirements.lock")
result["stubs"] = run(result["first"]["digest"], "sh", "-c", "ls -A /run /root /tmp; env")
"""
    result = do(program)
    first, second = result["first"], result["second"]
    assert (first["reused"], second["reused"]) == (False, True)
    assert first["digest"] == second["digest"]
    assert result["run"] == [0, "True /opt/airdock/env idna"]
    assert result["cached"] == [0, "True"]
    assert [line.split("==")[0] for line in result["lock"][1].splitlines()] == ["idna", "six"]
    for never in ("index", "uv-cache", "SSL_CERT_FILE", "UV_", "PIP_"):
        assert never not in result["stubs"][1]
    again = do("result['third'] = prepare(requirements=('six', 'idna<4'))")
    assert again["third"] == {**second}


def test_a_removed_image_is_made_again_from_its_lock(do: Do) -> None:
    do("images.remove(prepare(requirements=('six',))['digest'], force=True)")
    do("images.prune()")  # the process that made it kept its layers
    program = """
result["second"] = prepare(requirements=("six",))
result["run"] = run(result["second"]["digest"], "python", "-c", "import six; print(six.__name__)")
result["steps"] = [(step.number, step.cached) for step in steps if step.seconds is not None][-2:]
"""
    result = do(program)
    assert not result["second"]["reused"]
    assert result["run"] == [0, "six"]
    assert result["steps"] == [[1, True], [2, False]]


def test_source_distributions_are_built_inside(do: Do) -> None:
    program = """
result["made"] = prepare(requirements=("docopt==0.6.2",))
result["run"] = run(result["made"]["digest"], "python", "-c", "import docopt; print(docopt.__version__)")
result["caches"] = sorted(path.name for path in (home / "cache").glob("uv*"))
"""
    result = do(program)
    assert result["run"] == [0, "0.6.2"]
    assert result["caches"] == ["uv", "uv-source"]


def test_what_cannot_be_resolved(do: Do) -> None:
    program = """
result["unknown"] = prepare(requirements=("no-such-package-airdock-123",))
result["clash"] = prepare(requirements=("six==1.15.0", "six==1.16.0"))
result["wrong"] = prepare(requirements=("six==abc",))
result["option"] = prepare(requirements=("-r other.txt",))
result["python"] = prepare(python="3.98")
result["image"] = prepare(image="hots")
"""
    result = do(program)
    assert {error["error"] for error in result.values()} == {"EnvironmentFailedError"}
    assert {error["where"] for error in result.values()} == {"task report"}
    assert "no-such-package-airdock-123 was not found" in result["unknown"]["message"]
    assert "six==1.15.0" in result["clash"]["message"]
    assert "expected version to start with a number" in result["wrong"]["message"]
    assert "expected a Python 3.98" in result["python"]["message"]
    assert "airdock image build -t hots" in result["image"]["hint"]


def test_a_dockerfile_finds_the_machines_index(do: Do, account) -> None:
    program = """
folder = Path.home() / "chart"
folder.mkdir(exist_ok=True)
(folder / "Dockerfile").write_text(
    "FROM host\\n"
    "RUN python3 -m venv /opt/chart && /opt/chart/bin/pip install -q --disable-pip-version-check six\\n"
    "ENV PATH=/opt/chart/bin:$PATH\\n")
result["first"] = prepare(dockerfile=str(folder / "Dockerfile"))
result["second"] = prepare(dockerfile=str(folder / "Dockerfile"))
result["run"] = run(result["first"]["digest"], "python", "-c", "import six; print(six.__file__)")
(folder / "Dockerfile").write_text("FROM host\\nRUN echo before it failed && exit 7\\n")
result["failed"] = prepare(dockerfile=str(folder / "Dockerfile"))
(folder / "Dockerfile").write_text("FROM host\\nRUM echo\\n")
result["unknown"] = prepare(dockerfile=str(folder / "Dockerfile"))
result["missing"] = prepare(dockerfile=str(folder / "None"))
"""
    result = do(program)
    assert [result["first"]["reused"], result["second"]["reused"]] == [False, True], result
    assert result["first"]["digest"] == result["second"]["digest"]
    assert result["run"][1].startswith("/opt/chart/")
    failed = result["failed"]
    assert failed["where"] == "task report, chart/Dockerfile:2"
    assert "exit code 7" in failed["message"]
    assert "before it failed" in failed["message"]
    assert result["unknown"]["where"] == "task report, chart/Dockerfile:2"
    assert "RUN" in result["unknown"]["hint"] + result["unknown"]["message"]
    assert "expected a Dockerfile, found none" in result["missing"]["message"]


def test_the_host_image_shows_the_system_and_no_secrets(do: Do, account) -> None:
    program = """
(Path.home() / "secret.txt").write_text("secret")
made = prepare()
result["shadow"] = run(made["digest"], "cat", "/etc/shadow")
result["home"] = run(made["digest"], "cat", str(Path.home() / "secret.txt"))
result["write"] = run(made["digest"], "touch", "/usr/airdock-was-here")
result["etc"] = run(made["digest"], "sh", "-c", "echo x > /etc/airdock-was-here")
result["system"] = run(made["digest"], "sh", "-c", "cat /etc/os-release | head -1; test -w /workspace && echo ok")
result["python"] = run(made["digest"], "python3", "-c", "import airdock, sys; print(sys.executable)")
result["server"] = sys.executable
"""
    result = do(program)
    assert result["shadow"][0] != 0
    assert "denied" in result["shadow"][1]
    assert result["home"][0] != 0
    assert "secret" not in result["home"][1].replace("secret.txt", "")
    assert result["write"][0] != 0
    assert result["etc"][0] != 0
    assert not Path("/usr/airdock-was-here").exists()
    assert not Path("/etc/airdock-was-here").exists()
    assert result["system"][0] == 0
    assert result["python"][0] == 0
    assert Path(result["python"][1]).parent == Path(result["server"]).parent


def test_another_python_of_the_machine(do: Do, account) -> None:
    program = """
own = "%d.%d" % sys.version_info[:2]
others = [each.series for each in pythons.all() if each.series != own and each.version >= (3, 8)]
if others:
    result["asked"] = others[0]
    result["bare"] = prepare(python=others[0])
    result["made"] = prepare(python=others[0], requirements=("six",))
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    result["ran"] = [run(result[name]["digest"], "python3", "-c", code) for name in ("bare", "made")]
"""
    result = do(program, SEARCH=str(Path(sys.base_prefix).parent))
    if not result:
        pytest.skip(f"{account.name} finds one Python only")
    assert result["ran"] == [[0, result["asked"]]] * 2


def test_a_base_without_python(do: Do, debian_base: Path) -> None:
    program = """
if "airdock-base:debian" not in {f"{row.repository}:{row.tag}" for row in images.list()}:
    images.tag("airdock-base:debian", images.import_tar(Path(os.environ["BASE"])).digest)
result["made"] = prepare(base="airdock-base:debian", requirements=("six",))
result["none"] = prepare(base="airdock-base:none", requirements=("six",))
"""
    result = do(program, BASE=str(debian_base))
    assert "expected a Python in the base airdock-base:debian" in result["made"]["message"]
    assert "expected an image of this machine" in result["none"]["message"]


def test_equal_environments_are_made_once_and_different_ones_side_by_side(do: Do) -> None:
    program = """
import threading
from airdock.model.progress import BuildFinished, BuildStarted
told = []
shared = environments(report=told.append)
asked = [("six",), ("six",), ("Six",), ("idna",), ("six", "idna")]
made = {}

def ask(number):
    made[number] = shared.prepare(Environment(requirements=asked[number]), where=f"task {number}").digest

threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(asked))]
for thread in threads: thread.start()
for thread in threads: thread.join()
result["digests"] = [made[number] for number in range(len(asked))]
result["started"] = sum(isinstance(each, BuildStarted) for each in told)
result["finished"] = sum(isinstance(each, BuildFinished) and not each.reused for each in told)
"""
    result = do(program)
    one, same, alike, idna, both = result["digests"]
    assert one == same == alike
    assert len({one, idna, both}) == 3
    assert result["started"] == result["finished"] <= 3
