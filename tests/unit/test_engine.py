"""What a container executes and sees, by the image's settings and the request's."""

import json
from pathlib import Path

import pytest

from airdock.clock import SystemClock
from airdock.engine import DEFAULT_PATH, HOST_LABEL, Engine, RunRequest, command_of, environment_of
from airdock.errors import ContainerError, UnknownContainerError, UnknownImageError
from airdock.images.calls import DirectCalls
from airdock.images.store import ImageStore
from airdock.oci.config import ImageConfig
from airdock.oci.descriptor import Platform
from airdock.runtime.launcher import Launcher


def config(**fields: object) -> ImageConfig:
    return ImageConfig(architecture="amd64", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("entrypoint", "cmd", "request_", "expected"),
    [
        (None, ("a", "b"), RunRequest(), ("a", "b")),
        (("e",), ("a", "b"), RunRequest(), ("e", "a", "b")),
        (("e",), ("a", "b"), RunRequest(argv=("x",)), ("e", "x")),
        (("e",), ("a",), RunRequest(entrypoint=("n",)), ("n",)),
        (("e",), ("a",), RunRequest(entrypoint=("n",), argv=("x",)), ("n", "x")),
        (("e",), ("a",), RunRequest(entrypoint=(), argv=("x",)), ("x",)),
        (None, None, RunRequest(), ()),
    ],
)
def test_entrypoint_wins_over_cmd_which_gives_its_arguments(
    entrypoint: tuple[str, ...] | None,
    cmd: tuple[str, ...] | None,
    request_: RunRequest,
    expected: tuple[str, ...],
) -> None:
    assert command_of(config(entrypoint=entrypoint, cmd=cmd), request_) == expected


def test_a_requests_variables_lie_over_the_images_and_a_path_is_always_there() -> None:
    made = config(env=("A=image", "B=image=with=signs"))
    assert environment_of(made, RunRequest(env={"A": "request"})) == {
        "PATH": DEFAULT_PATH,
        "A": "request",
        "B": "image=with=signs",
    }
    assert environment_of(config(env=("PATH=/opt/bin",)), RunRequest())["PATH"] == "/opt/bin"


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    images = ImageStore(root=tmp_path / "images", calls=DirectCalls())
    launcher = Launcher(folder=tmp_path / "run")
    return Engine(
        images=lambda: images,
        launcher=lambda: launcher,
        containers=tmp_path / "run" / "containers",
        cache=tmp_path / "cache",
        clock=SystemClock(),
        trusts=lambda label: json.loads(label)["binds"] == ["/usr"],
    )


def test_an_image_from_elsewhere_gets_no_folder_of_this_machine(engine: Engine) -> None:
    """Refused before anything is started: the launcher of this engine never runs."""
    label = json.dumps({"binds": ["/root"]})
    image = engine.images.put_image(config(cmd=("true",), labels={HOST_LABEL: label}), [])
    with pytest.raises(ContainerError, match="from elsewhere"):
        engine.run(image, RunRequest(), stdin=0, stdout=1, stderr=2)
    assert engine.launcher.pid == 0
    assert not engine.containers.states()


def test_an_image_without_a_command_needs_one(engine: Engine) -> None:
    image = engine.images.put_image(config(), [])
    with pytest.raises(ContainerError, match="expected a command"):
        engine.run(image, RunRequest(), stdin=0, stdout=1, stderr=2)


def test_a_container_that_is_not_there_is_named(engine: Engine) -> None:
    with pytest.raises(UnknownContainerError, match="nobody"):
        engine.remove("nobody")


def test_an_image_for_another_machine_is_not_taken_for_the_one_asked_for(engine: Engine) -> None:
    made = engine.images.put_image(config(cmd=("true",)), [])
    engine.images.tag("app:1", made.digest)
    assert engine.obtain("app:1", pull="never", platform=made.platform).digest == made.digest
    with pytest.raises(UnknownImageError, match="for riscv64"):
        engine.obtain("app:1", pull="never", platform=Platform(os="linux", architecture="riscv64"))
