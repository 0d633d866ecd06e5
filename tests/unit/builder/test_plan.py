"""What a build will do, decided without doing anything."""

from collections import defaultdict
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airdock.builder.dockerfile import parse_dockerfile
from airdock.builder.instructions import Dockerfile
from airdock.builder.plan import Selection, plan, select
from airdock.builder.platforms import is_emulated, parse_platform, platform_arguments, render_platform, split_platform
from airdock.builder.settings import check_signal, expand_ports, join_path, put_env
from airdock.builder.steps import CopyFiles, MakeFolder, Plan, RunCommand
from airdock.errors import DockerfileError
from airdock.oci.config import ImageConfig
from airdock.oci.descriptor import Platform

AMD64 = Platform(os="linux", architecture="amd64")
BASE = ImageConfig(architecture="amd64", env=("PATH=/bin", "HERE=base"), working_dir="/w", cmd=("sh",))


def no_triggers(name: str, line: int) -> tuple[str, ...]:
    return ()


def choose(
    file: Dockerfile, *, args: dict[str, str] | None = None, target: str | None = None, platform: Platform = AMD64
) -> Selection:
    return select(file, args=args or {}, target=target, platform=platform, host=AMD64, on_build=no_triggers)


def make_plan(text: str, *, target: str | None = None, **args: str) -> Plan:
    file = parse_dockerfile(text)
    selection = choose(file, args=args, target=target)
    return plan(file, selection, args=args, configs=defaultdict(lambda: BASE))


def test_equal_inputs_give_equal_plans() -> None:
    text = "ARG A=1\nFROM base:$A AS x\nRUN make\nFROM x\nCOPY --from=0 a b/\n"
    assert make_plan(text) == make_plan(text)


def test_only_what_leads_to_the_target_is_looked_up() -> None:
    file = parse_dockerfile(
        "FROM one AS a\nFROM two AS b\nCOPY --from=a x y\n"
        "FROM three AS c\nCOPY --from=tools:2 x y\nFROM b AS d\nENV A=1\n"
    )
    needed = choose(file)
    assert dict(needed.bases) == {0: "one", 1: "two", 3: 1}
    assert dict(needed.images) == {"two": 2, "one": 1}
    other = choose(file, target="c")
    assert dict(other.images) == {"three": 4, "tools:2": 5}
    by_number = choose(file, target="0")
    assert dict(by_number.bases) == {0: "one"}


def test_steps_are_complete() -> None:
    [stage] = make_plan(
        'FROM base\nARG V=1\nENV A=$V HERE=${HERE}d\nRUN make $A\nUSER u:g\nWORKDIR sub\nRUN ["make"]\n'
        "COPY --chown=$A --chmod=u+x --exclude=*.o a b ./to/\n"
    ).stages
    run, folder, exact, copy = (step.action for step in stage.steps if step.action)
    assert run == RunCommand(
        argv=("/bin/sh", "-c", "make $A"), env=("V=1", "PATH=/bin", "HERE=based", "A=1"), cwd="/w", user=""
    )
    assert folder == MakeFolder(path="/w/sub", user="u:g")
    assert isinstance(exact, RunCommand)
    assert (exact.argv, exact.cwd, exact.user) == (("make",), "/w/sub", "u:g")
    assert copy == CopyFiles(
        sources=("a", "b"), destination="/w/sub/to/", chown="1", chmod="u+x", excludes=("*.o",), unpack=False
    )


def test_every_flag_of_a_health_check() -> None:
    flags = "--interval=1s --timeout=2s --start-period=3s --start-interval=4s --retries=5"
    [stage] = make_plan(f"FROM base\nHEALTHCHECK {flags} CMD x $HERE\n").stages
    second = 1_000_000_000
    assert stage.config.to_json()["config"]["Healthcheck"] == {
        "Test": ["CMD-SHELL", "x $HERE"],
        "Interval": second,
        "Timeout": 2 * second,
        "StartPeriod": 3 * second,
        "StartInterval": 4 * second,
        "Retries": 5,
    }


def test_how_many_steps_will_be_told() -> None:
    assert make_plan("FROM a\nENV A=1\nRUN x\nCMD y\nFROM b\nCOPY --from=0 x y\nWORKDIR z\n").total == 5


def test_arguments_are_seen_where_they_are_declared() -> None:
    text = "ARG G=global\nFROM base\nRUN a\nARG G\nRUN b\nARG D=${G}-x\nARG UNSET\nRUN c\nFROM base\nRUN d\n"
    first = [step.action for step in make_plan(f"{text}COPY --from=0 x y\n").stages[0].steps if step.action]
    seen = [[entry for entry in action.env if entry[0] in "GDU"] for action in first]
    assert seen == [[], ["G=global"], ["G=global", "D=global-x"]]
    upon = "FROM base AS one\nARG A=1\nARG E=1\nFROM one AS two\nENV E=2\nFROM two\nARG B=$A\nRUN x\n"
    [inherited] = [step.action for step in make_plan(upon).stages[-1].steps if isinstance(step.action, RunCommand)]
    assert {"A=1", "B=1", "E=2"} <= set(inherited.env)
    [given] = [step.action for step in make_plan("FROM base\nARG A=1\nENV A=2\nRUN x\n", A="3").stages[0].steps][-1:]
    assert "A=2" in given.env  # ENV goes before ARG


def test_proxies_are_declared_by_nobody_and_recorded_nowhere() -> None:
    planned = make_plan("FROM base\nRUN x\n", HTTP_PROXY="http://p", SOURCE_DATE_EPOCH="1", OTHER="2")
    assert "http://p" not in repr(planned)
    assert planned.warnings == ("the build arguments OTHER are not declared by any ARG",)


def test_platforms() -> None:
    arguments = platform_arguments(Platform(os="linux", architecture="arm", variant="v7"), host=AMD64)
    assert (arguments["TARGETPLATFORM"], arguments["TARGETVARIANT"]) == ("linux/arm/v7", "v7")
    assert (arguments["BUILDPLATFORM"], arguments["BUILDVARIANT"]) == ("linux/amd64", "")
    assert render_platform(Platform(os="linux", architecture="arm64", variant="v8")) == "linux/arm64"
    assert render_platform(parse_platform("x86_64")) == "linux/amd64"
    with pytest.raises(DockerfileError):
        parse_platform("linux/")


def test_small_values() -> None:
    assert expand_ports(["80", "90-91/udp", "80/TCP"]) == ("80/tcp", "90/udp", "91/udp")
    assert [join_path("/a", path) for path in ("b", "../c", "/d/", ".", "..", "//e", "f/.")] == [
        "/a/b", "/c", "/d/", "/a/", "/", "/e", "/a/f/",
    ]  # fmt: skip
    assert put_env(("A=1", "B=2"), {"A": "3", "C": "4"}) == ("A=3", "B=2", "C=4")
    assert [check_signal(name) for name in ("9", "SIGTERM", "term", "RTMIN+3")] == ["9", "SIGTERM", "term", "RTMIN+3"]


NAMES = "ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL ONBUILD RUN SHELL STOPSIGNAL USER VOLUME WORKDIR"
REST = st.text(alphabet=st.sampled_from(list("abA=$/.:-<>[]\"'{} 019@*!")), max_size=20)
LINES = st.lists(st.builds("{} {}".format, st.sampled_from(NAMES.split(" ")), REST), max_size=5)


@given(LINES)
def test_any_instructions_are_planned_or_refused_with_their_line(lines: list[str]) -> None:
    try:
        make_plan("\n".join(["FROM base AS a", *lines]))
    except DockerfileError as error:
        assert error.where.startswith("Dockerfile:")


ARM64 = Platform(os="linux", architecture="arm64", variant="v8")


def test_images_are_asked_for_by_the_platform_of_their_stage() -> None:
    file = parse_dockerfile(
        "FROM --platform=$BUILDPLATFORM tools AS made\nARG TARGETARCH\nRUN make $TARGETARCH\n"
        "FROM base\nCOPY --from=made /x /\nCOPY --from=more /y /\n"
    )
    found = choose(file, platform=ARM64)
    named = [split_platform(name) for name in found.images]
    assert named == [("base", ARM64), ("more", ARM64), ("tools", None)]
    configs = {name: replace(BASE, architecture="amd64" if name == "tools" else "arm64") for name in found.images}
    made, last = plan(file, found, args={}, configs=configs, emulates=lambda platform: False).stages
    assert [step.action.env[0] for step in made.steps if isinstance(step.action, RunCommand)] == ["TARGETARCH=arm64"]
    assert last.config.architecture == "arm64"


def test_commands_for_another_platform_need_an_emulator() -> None:
    file = parse_dockerfile("FROM scratch\nCOPY a b\nRUN x\n")
    found = choose(file, platform=ARM64)
    with pytest.raises(DockerfileError, match=r"expected RUN in a stage for linux/amd64.*for linux/arm64") as raised:
        plan(file, found, args={}, configs={}, emulates=lambda platform: False)
    assert (raised.value.where, "qemu-user-static" in raised.value.hint) == ("Dockerfile:3", True)
    [stage] = plan(file, found, args={}, configs={}, emulates=lambda platform: True).stages
    assert (stage.config.architecture, stage.config.variant) == ("arm64", "v8")


@pytest.mark.parametrize(
    ("text", "works"),
    [("enabled\ninterpreter /q\nflags: POCF\n", True), ("enabled\nflags: P\n", False), ("disabled\nflags: F\n", False)],
)
def test_emulators_must_be_on_and_reach_into_containers(tmp_path, text: str, works: bool) -> None:
    (tmp_path / "qemu-aarch64").write_text(text)
    assert is_emulated(parse_platform("linux/arm64"), folder=tmp_path) is works
    assert not is_emulated(parse_platform("linux/riscv64"), folder=tmp_path)
    assert not is_emulated(parse_platform("windows/arm64"), folder=tmp_path)
