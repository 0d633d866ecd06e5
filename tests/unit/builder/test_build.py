"""Builds from end to end, with commands that are functions."""

from pathlib import Path

import pytest

from airdock.errors import BuildError, DockerfileError, InvalidReferenceError, StepFailedError, UnknownImageError
from airdock.model.mount import Mount


def test_a_file_from_the_context_on_scratch(bench) -> None:
    bench.write({"hello": "Hello Docker!"})
    image = bench.build('FROM scratch\nCOPY hello /\nCMD ["/hello"]\n', tags=("hello:1",))
    assert bench.store.find("hello:1").digest == image.digest
    assert bench.text(image, "hello") == "Hello Docker!"
    assert image.config.cmd == ("/hello",)
    assert [(entry.created_by, entry.empty_layer) for entry in image.config.history] == [
        ("COPY hello /", False),
        ('CMD ["/hello"]', True),
    ]
    assert bench.ended == [(1, 2, "FROM scratch", True), (2, 2, "COPY hello /", False)]


def test_equal_inputs_give_equal_images_whatever_the_times(bench, tmp_path: Path) -> None:
    bench.write({"a": "1", "d/b": "2"})
    text = "FROM scratch\nCOPY . /x/\nWORKDIR /y\n"
    first = bench.build(text)
    (bench.context / "a").touch()
    assert bench.build(text).digest == first.digest
    assert [cached for *_, cached in bench.ended] == [True, True, True]
    assert bench.build(text, no_cache=True).digest == first.digest
    assert [cached for *_, cached in bench.ended] == [True, False, False]


@pytest.mark.parametrize("change", ["bytes", "mode", "name", "owner"])
def test_the_cache_sees_bytes_modes_names_and_owners(bench, change: str) -> None:
    bench.write({"a": "1"})
    text = "FROM scratch\nCOPY . /x/\n"
    first = bench.build(text)
    match change:
        case "bytes":
            bench.write({"a": "2"})
        case "mode":
            (bench.context / "a").chmod(0o755)
        case "name":
            (bench.context / "a").rename(bench.context / "b")
        case "owner":
            text = "FROM scratch\nCOPY --chown=5 . /x/\n"
    assert bench.build(text).layers != first.layers
    assert bench.ended[-1][-1] is False


def test_run_is_cached_under_what_it_sees(bench) -> None:
    bench.base("base")
    bench.programs["make"] = lambda command, output: {"out": "made"}
    text = "FROM base\nARG V=1\nRUN make\n"
    first = bench.build(text)
    assert bench.text(first, "out") == "made"
    assert bench.build(text).digest == first.digest
    bench.build(text, transient_env={"HTTPS_PROXY": "http://proxy"}, mounts=(Mount(source="/a", target="/b"),))
    assert len(bench.run.commands) == 1
    bench.build(text, args={"V": "2"})
    bench.build(text, network="none")
    assert len(bench.run.commands) == 3


def test_a_command_gets_all_that_it_needs(bench) -> None:
    base = bench.base("base", user="daemon", working_dir="/srv", labels={"from": "base"})
    bench.programs["make"] = lambda command, output: {"out": ""}
    bench.build(
        'FROM base\nARG A=1\nENV B=2 PATH=/x:$PATH\nSHELL ["/bin/bash", "-ec"]\nLABEL own=1\n'
        "RUN --network=none make $A\n",
        transient_env={"SSL_CERT_FILE": "/ca"},
        args={"http_proxy": "http://proxy"},
    )
    [command] = bench.run.commands
    assert command.argv == ("/bin/bash", "-ec", "make $A")
    assert dict(entry.split("=", 1) for entry in command.env) == {
        "http_proxy": "http://proxy",
        "A": "1",
        "PATH": "/x:/bin",
        "B": "2",
        "SSL_CERT_FILE": "/ca",
    }
    assert (command.cwd, command.user, command.network) == ("/srv", "daemon", "none")
    assert command.layers == tuple(layer.diff_id for layer in base.layers)
    assert command.labels == {"from": "base"}


def test_a_failing_command_shows_line_code_and_output(bench) -> None:
    bench.base("base")

    def fail(command, output):
        output(b"first\n" + b"".join(b"line %d\n" % number for number in range(100)))
        output(b"progress 1%\rprogress 100%\r\nla")
        output(b"st")
        raise StepFailedError(command_exit=3)

    bench.programs["false"] = fail
    with pytest.raises(StepFailedError) as raised:
        bench.build("FROM base\n\nENV A=1\nRUN false \\\n  --now\n", name="sub/Dockerfile")
    error = raised.value
    assert error.where == "sub/Dockerfile:4"
    assert "RUN false" in error.message
    assert "exit code 3" in error.message
    assert error.command_exit == 3
    assert error.output.splitlines() == [*(f"line {number}" for number in range(62, 100)), "progress 100%", "last"]
    assert bench.lines[0] == "first"
    assert list((bench.folder / "cache").glob(".tmp-*")) == []


def test_an_account_with_one_id_is_told_why_chown_fails(bench) -> None:
    bench.base("base")

    def chown(command, output):
        output(b"chown: changing ownership of '/x': Invalid argument\n")
        raise StepFailedError("the command ended with exit code 1", command_exit=1)

    bench.programs["chown"] = chown
    with pytest.raises(StepFailedError) as raised:
        bench.build("FROM base\nRUN chown -R daemon /x\n")
    assert raised.value.message == "RUN chown -R daemon /x: the command ended with exit code 1"
    assert "--add-subuids" in raised.value.hint


def test_only_the_stages_that_are_needed_are_built(bench) -> None:
    bench.base("base")
    bench.programs["make"] = lambda command, output: {"out/program": "binary"}
    text = (
        "FROM base AS Build\nRUN make\nFROM base AS unused\nRUN never\n"
        "FROM scratch AS final\nCOPY --from=build /out /bin/\nFROM final AS last\nENV A=1\n"
    )
    image = bench.build(text)
    assert bench.text(image, "bin/program") == "binary"
    assert image.config.env[-1] == "A=1"
    assert len(image.layers) == 1
    assert [entry.created_by for entry in image.config.history] == ["COPY /out /bin/", "ENV A=1"]
    assert [text for _, _, text, _ in sorted(bench.ended)] == [
        "[build] FROM base AS Build",
        "[build] RUN make",
        "[final] FROM scratch AS final",
        "[final] COPY --from=build /out /bin/",
        "[last] FROM final AS last",
    ]
    target = bench.build(text, target="BUILD")
    assert len(bench.run.commands) == 1
    assert len(target.layers) == 2


def test_copy_from_a_stage_by_number_and_from_an_image(bench) -> None:
    bench.base("tools")
    image = bench.build("FROM tools\nFROM scratch\nCOPY --from=0 /etc/group /a\nCOPY --from=tools /etc/passwd /b\n")
    assert bench.text(image, "a").startswith("root:x:0:\n")
    assert "airflow" in bench.text(image, "b")


def test_files_of_a_stage_keep_owner_and_time_and_the_context_does_not(bench) -> None:
    bench.base("base")
    bench.write({"f": "x"})
    image = bench.build("FROM scratch\nCOPY --from=base /home /home/\nCOPY f /f\n")
    kept, copied = (bench.entries(layer) for layer in image.layers)
    assert kept["home/airflow"].mtime_ns == 10**18
    assert copied["f"].mtime_ns == 946_684_800 * 10**9
    late = bench.build("FROM scratch\nCOPY --from=base /home /home/\nCOPY f /f\n", args={"SOURCE_DATE_EPOCH": "1000"})
    kept, copied = (bench.entries(layer) for layer in late.layers)
    assert (kept["home/airflow"].mtime_ns, copied["f"].mtime_ns) == (1000 * 10**9, 1000 * 10**9)
    assert late.config.created == "1970-01-01T00:16:40Z"
    assert {entry.created for entry in late.config.history} == {late.config.created}


def test_created_is_the_bases_or_a_fixed_time(bench) -> None:
    bench.base("base", created="2024-05-06T07:08:09Z")
    assert bench.build("FROM base\nENV A=1\n").config.created == "2024-05-06T07:08:09Z"
    assert bench.build("FROM scratch\nENV A=1\n").config.created == "2000-01-01T00:00:00Z"


def test_what_the_configuration_comes_to(bench) -> None:
    bench.base("base", cmd=("old",), labels={"a": "1"}, exposed_ports=("80/tcp",))
    image = bench.build(
        "FROM base\n"
        "ARG V=1.2\n"
        "ENV A=$V B='x y'\nENV A=3 C=$A\nENV OLD the  rest \n"
        'LABEL b=2 c="$V"\n'
        "EXPOSE 8080 53/UDP 9000-9001\n"
        "VOLUME /data /more\n"
        "USER airflow:staff\n"
        "WORKDIR a\nWORKDIR b\n"
        'ENTRYPOINT ["/entry"]\n'
        "CMD first\nCMD echo $V\n"
        "STOPSIGNAL SIGINT\n"
        "HEALTHCHECK --retries=2 CMD true\n"
        "ONBUILD RUN x\n"
        "MAINTAINER somebody\n"
    )
    config = image.config
    assert config.env == ("PATH=/bin", "A=3", "B=x y", "C=1.2", "OLD=the  rest")
    assert config.labels == {"a": "1", "b": "2", "c": "1.2"}
    assert config.exposed_ports == ("53/udp", "80/tcp", "8080/tcp", "9000/tcp", "9001/tcp")
    assert config.volumes == ("/data", "/more")
    assert (config.user, config.working_dir) == ("airflow:staff", "/a/b")
    assert (config.entrypoint, config.cmd) == (("/entry",), ("/bin/sh", "-c", "echo $V"))
    assert (config.stop_signal, config.author) == ("SIGINT", "somebody")
    assert config.healthcheck == {"Test": ["CMD-SHELL", "true"], "Retries": 2}
    assert config.on_build == ("RUN x",)


def test_entrypoint_drops_an_inherited_cmd(bench) -> None:
    bench.base("base", cmd=("old",))
    assert bench.build('FROM base\nENTRYPOINT ["/e"]\n').config.cmd is None
    assert bench.build('FROM base\nCMD ["c"]\nENTRYPOINT ["/e"]\n').config.cmd == ("c",)
    assert bench.build("FROM base\nENTRYPOINT []\n").config.entrypoint == ()


def test_what_the_base_asks_for_is_done_first(bench) -> None:
    bench.base("base", on_build=("ENV FROM_BASE=1", "COPY f /f"))
    bench.write({"f": "x"})
    image = bench.build("FROM base\nENV OWN=$FROM_BASE\n")
    assert image.config.env == ("PATH=/bin", "FROM_BASE=1", "OWN=1")
    assert image.config.on_build == ()
    assert bench.text(image, "f") == "x"


def test_arguments_before_from_and_of_the_platform(bench) -> None:
    bench.base("base:7")
    bench.programs["make"] = lambda command, output: {"o": ""}
    image = bench.build(
        "ARG TAG=1\nARG NAME=base\nFROM --platform=$BUILDPLATFORM ${NAME}:${TAG}\nARG TARGETARCH\nARG TAG\nARG NAME\n"
        "RUN make\nLABEL arch=$TARGETARCH tag=$TAG\n",
        args={"TAG": "7", "UNKNOWN": "1"},
    )
    assert image.config.labels["tag"] == "7"
    assert image.config.labels["arch"]
    assert "TAG=7" in bench.run.commands[0].env
    assert "NAME=base" in bench.run.commands[0].env
    assert not any(entry.startswith("TAG=") for entry in image.config.env)
    assert bench.notes == ["warning: the build arguments UNKNOWN are not declared by any ARG"]


def test_heredocs(bench) -> None:
    bench.base("base")
    bench.programs["echo 1\necho 2\n"] = lambda command, output: {"a": "plain"}
    bench.programs["cat <<A > /x\nhi\nA"] = lambda command, output: {"b": "part of a line"}

    def script(command, output):
        [mount] = command.mounts
        return {"c": Path(mount.source).read_text(), "target": mount.target}

    bench.programs["/dev/pipes/EOF"] = script
    image = bench.build(
        "FROM base\nARG V=9\nRUN <<EOF\necho 1\necho 2\nEOF\nRUN cat <<A > /x\nhi\nA\n"
        "RUN <<EOF\n#!/usr/bin/env python\nprint(1)\nEOF\n"
        "COPY --chmod=600 <<one.txt <<'two' /etc/d/\n\"v $V\"\none.txt\n$V\ntwo\n"
    )
    assert [bench.text(image, name) for name in ("a", "b")] == ["plain", "part of a line"]
    assert bench.text(image, "c") == "#!/usr/bin/env python\nprint(1)\n"
    assert bench.text(image, "target") == "/dev/pipes/EOF"
    assert bench.text(image, "etc/d/one.txt") == '"v 9"\n'
    assert bench.text(image, "etc/d/two") == "$V\n"
    assert bench.entries(image.layers[-1])["etc/d/two"].mode == 0o600


@pytest.mark.parametrize(
    ("dockerfile", "line", "message"),
    [
        ("FROM base\nRUN --mount=type=cahe,target=/x make", 2, "unsupported type"),
        ("FROM base\nRUN --mount=type=cache make", 2, "expected a target"),
        ("FROM base\nRUN --device=nvidia.com/gpu=all make", 2, "--device"),
        ("FROM base\nADD ftp://example.org/x /x", 2, "expected an address with http, https, git or ssh"),
        ("FROM base\nADD https://example.org/ /x/", 2, "expected an address that ends with a file's name"),
        ("FROM base\nADD --checksum=sha256:1 https://example.org/x /x", 2, "64 hexadecimal digits"),
        ("FROM base\nADD --checksum=main git@example.org:x.git /x", 2, "a commit's id"),
        ("FROM base\nADD --checksum=sha256:1 a /x", 2, "a single address"),
        ("FROM base\nADD --keep-git-dir a /x", 2, "a git address"),
        ("FROM base\nCOPY https://example.org/x /x", 2, "expected COPY to name files"),
        ("FROM base\nCOPY --chmod=999 a /x", 2, "--chmod"),
        ("FROM base\nCOPY a b /x", 2, "folder that ends with /"),
        ("FROM base AS one\nCOPY --from=one a /x", 2, "earlier stage"),
        ("FROM base\nCOPY --from=$X a /x", 2, "variable"),
        ("FROM base\nLABEL airdock.host={}", 2, "airdock.host"),
        ("FROM base\nEXPOSE 99999", 2, "65535"),
        ("FROM base\nEXPOSE web", 2, "expected a port"),
        ("FROM base\nSTOPSIGNAL SIGNOPE", 2, "expected a signal"),
        ("FROM base\nUSER $NOBODY", 2, "empty"),
        ("FROM base\nWORKDIR $NOWHERE", 2, "empty"),
        ('FROM base\nENV A="${B:?no b}"', 2, "no b"),
        ("FROM $NAME", 1, "empty"),
        ("FROM --platform=plan9/mips scratch\nRUN x", 2, "plan9/mips"),
    ],
)
def test_what_cannot_be_built_is_refused_before_anything_is_done(
    bench, dockerfile: str, line: int, message: str
) -> None:
    bench.base("base")
    with pytest.raises(DockerfileError) as raised:
        bench.build(dockerfile)
    assert raised.value.where == f"Dockerfile:{line}"
    assert message in raised.value.message
    assert bench.events == []


def test_a_name_that_is_none_is_told_first(bench) -> None:
    bench.base("base")
    with pytest.raises(InvalidReferenceError):
        bench.build("FROM base\nRUN make\n", tags=("good:1", "Bad Name"))
    assert bench.events == []


def test_an_unknown_base_or_target(bench) -> None:
    with pytest.raises(UnknownImageError) as raised:
        bench.build("\nFROM nothing:1\n")
    assert raised.value.where == "Dockerfile:2"
    with pytest.raises(DockerfileError) as refused:
        bench.build("FROM scratch AS builder\nENV A=1\n", target="bilder")
    assert refused.value.hint == "did you mean builder?"


def test_the_ignore_file_of_the_dockerfile_goes_first(bench) -> None:
    bench.write({".dockerignore": "a\n", "my.dockerignore": "b\n", "a": "1", "b": "2"})
    image = bench.build("FROM scratch\nCOPY . /\n", name="my")
    assert {"a", "b"} & bench.entries(image.layers[0]).keys() == {"a"}
    image = bench.build("FROM scratch\nCOPY . /\n", name="other")
    assert {"a", "b"} & bench.entries(image.layers[0]).keys() == {"b"}


def test_layers_that_are_gone_are_built_again(bench) -> None:
    bench.write({"f": "x"})
    image = bench.build("FROM scratch\nCOPY f /\n", tags=("t",))
    bench.store.remove("t")
    assert not bench.store.has_blob(image.layers[0].descriptor.digest)
    assert bench.build("FROM scratch\nCOPY f /\n").digest == image.digest
    assert bench.ended[-1][-1] is False


def test_a_damaged_cache_is_an_empty_one(bench) -> None:
    bench.write({"f": "x"})
    first = bench.build("FROM scratch\nCOPY f /\n")
    for path in (bench.folder / "cache").glob("??/*"):
        path.write_text('{"diff_id": 1}')
    assert bench.build("FROM scratch\nCOPY f /\n").digest == first.digest


def test_leftovers_of_killed_builds_are_removed(bench) -> None:
    leftover = bench.folder / "cache" / ".tmp-0123"
    leftover.mkdir(parents=True)
    (leftover / "layer.tar").write_text("x")
    bench.write({"f": "x"})
    bench.build("FROM scratch\nCOPY f /\n")
    assert not leftover.exists()


def test_no_context_is_an_empty_one(bench) -> None:
    image = bench.build("FROM scratch\nCOPY <<f /\nx\nf\n", context=None)
    assert bench.text(image, "f") == "x\n"
    with pytest.raises(BuildError, match="expected a build context") as raised:
        bench.build("FROM scratch\nCOPY f /\n", context=None)
    assert raised.value.where == "Dockerfile:2"
