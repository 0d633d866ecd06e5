"""The value of RUN --mount: what is understood, what is refused, and what of it ends up in a step."""

import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airdock.builder.run_mounts import make_mounts, parse_mount
from airdock.builder.steps import RunMount
from airdock.builder.words import expand_word
from airdock.errors import BuildError, DockerfileError
from airdock.images.locks import hold_lock


def make(*texts: str, **env: str) -> tuple[RunMount, ...]:
    return make_mounts(
        tuple(parse_mount(text) for text in texts),
        expand=lambda text: expand_word(text, env),
        find=lambda name: {"stage": 0}.get(name, name),
        folder="/work",
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("target=/a", {"kind": "bind", "target": "/a", "read_only": True}),
        ("type=bind,dst=a,src=x/../y,rw", {"kind": "bind", "target": "/work/a", "source": "y", "read_only": False}),
        ("from=stage,source=/x,destination=/a/", {"kind": "bind", "target": "/a", "from_": 0, "source": "x"}),
        ("from=image:1,target=/a,ro=false", {"from_": "image:1", "read_only": False}),
        ("type=cache,target=/a/b/", {"id": "/a/b", "sharing": "shared", "read_only": False, "mode": None}),
        ("type=cache,target=$HOME/.c,id=c,sharing=locked,ro", {"target": "/root/.c", "id": "c", "sharing": "locked"}),
        ("type=cache,target=/a,mode=0700,uid=5,gid=6", {"mode": 0o700, "uid": 5, "gid": 6}),
        ("type=tmpfs,target=/t,size=1.5m", {"size_bytes": 3 << 19, "read_only": False}),
        ("type=secret,id=s", {"target": "/run/secrets/s", "id": "s", "required": False}),
        ("type=secret,target=/x/key", {"target": "/x/key", "id": "key"}),
        ("type=secret,src=a/b", {"target": "/run/secrets/b", "id": "a/b"}),
        ("type=secret,id=s,env=S", {"target": "", "env": "S"}),
        ("type=secret,id=s,env=S,target=/s,required", {"target": "/s", "env": "S", "required": True}),
        ("type=ssh", {"id": "default", "target": "/run/buildkit/ssh_agent.0"}),
        ("type=ssh,id=a,required=true,target=/s", {"id": "a", "target": "/s", "required": True}),
        ('type=bind,target=/a,"source=with,comma"', {"source": "with,comma"}),
        ("TYPE=tmpfs,Target=/t", {"kind": "tmpfs", "target": "/t"}),
    ],
)
def test_mounts(text: str, expected: dict[str, Any]) -> None:
    [mount] = make(text, HOME="/root")
    assert {name: getattr(mount, name) for name in expected} == expected


def test_each_agent_has_a_socket_of_its_own() -> None:
    first, second = make("type=ssh", "type=ssh,id=other")
    assert (first.target, second.target) == ("/run/buildkit/ssh_agent.0", "/run/buildkit/ssh_agent.1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("type=nfs,target=/a", "unsupported type"),
        ("target=/a,colour=red", "unexpected key"),
        ("target", "must be a key=value pair"),
        ("type=cache", "expected a target"),
        ("target=/", "invalid mount target"),
        ("target=..", "invalid mount target"),
        ("type=cache,target=/a,sharing=none", "unsupported sharing"),
        ("target=/a,sharing=shared", "only for cache"),
        ("target=/a,mode=0700", "only for cache and secret and ssh"),
        ("type=cache,target=/a,mode=9", "octal mode"),
        ("type=cache,target=/a,uid=x", "an id"),
        ("type=tmpfs,target=/a,size=big", "such as 64m"),
        ("type=secret,id=a,from=b", "only for bind and cache"),
        ("type=secret", "expected an id or a target"),
        ("type=secret,id=a,source=b", "found both"),
        ("type=secret,id=a,required=maybe", "true or false"),
        ("from=$X,target=/a", "variable"),
        ('"target=/a', "commas"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(DockerfileError, match=message):
        make(text)


KEYS = ["type", "target", "from", "source", "id", "mode", "uid", "size", "sharing", "env", "ro", "rw", "required", "x"]
FIELDS = st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(["", "=", "=/a", "=cache", "=7", "=$x", '="'])))


@given(st.one_of(st.text(), FIELDS.map(lambda fields: ",".join(key + value for key, value in fields))))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        make(text)
    except DockerfileError:
        pass


def build(bench, mounts: str, **request: object) -> Any:
    bench.programs["go"] = lambda command, output: {"done": "1"}
    bench.base("base")
    bench.build(f"FROM base\nRUN {mounts} go\n", **request)
    return bench.run.commands[-1]


def test_a_secret_is_a_file_for_the_command_alone(bench) -> None:
    seen = []
    bench.programs["look"] = lambda command, output: seen.append(read(command)) or {"done": "1"}
    bench.base("base")
    image = bench.build("FROM base\nRUN --mount=type=secret,id=s,env=S,target=/s look\n", secrets={"s": b"very secret"})
    [(target, text, mode, variables)] = seen
    assert (target, text, mode) == ("/s", "very secret", 0o400)
    assert "S=very secret" in variables
    everything = b"".join(path.read_bytes() for path in bench.folder.rglob("*") if path.is_file())
    assert b"very secret" not in everything
    assert "very secret" not in str(image.config)
    # Another value is no reason to run again.
    bench.build("FROM base\nRUN --mount=type=secret,id=s,env=S,target=/s look\n", secrets={"s": b"changed"})
    assert len(seen) == 1


def read(command: Any) -> tuple[str, str, int, tuple[str, ...]]:
    [mount] = command.mounts
    path = Path(mount.source)
    return mount.target, path.read_text(), path.stat().st_mode & 0o7777, command.env


def test_a_secret_that_is_required_has_to_be_there(bench) -> None:
    assert not build(bench, "--mount=type=secret,id=s").mounts
    with pytest.raises(BuildError, match="expected the secret 'other'") as raised:
        build(bench, "--mount=type=secret,id=other,required")
    assert raised.value.where == "Dockerfile:2"
    assert "--secret id=other" in raised.value.hint
    with pytest.raises(BuildError, match="at most 500 KiB"):
        build(bench, "--mount=type=secret,id=big", secrets={"big": bytes(600 << 10)})


def test_an_agent_that_is_required_has_to_listen(bench, tmp_path: Any) -> None:
    assert not build(bench, "--mount=type=ssh").mounts
    with pytest.raises(BuildError, match="expected the agent 'default'"):
        build(bench, "--mount=type=ssh,required")
    with pytest.raises(BuildError, match="expected an agent that listens"):
        build(bench, "--mount=type=ssh,id=a", ssh={"a": str(tmp_path / "nobody")})


def test_caches_stay_and_are_told_apart(bench) -> None:
    def source(mounts: str, **request: object) -> str:
        return str(build(bench, mounts, no_cache=True, **request).mounts[0].source)

    first = source("--mount=type=cache,target=/a")
    assert source("--mount=type=cache,target=/b,id=/a") == first
    others = {
        source("--mount=type=cache,target=/b"),
        source("--mount=type=cache,target=/a,mode=0700"),
        source("--mount=type=cache,target=/a", args={"BUILDKIT_CACHE_MOUNT_NS": "mine"}),
    }
    assert len(others) == 3
    assert first not in others


def test_a_bind_is_part_of_the_key_by_its_content(bench) -> None:
    bench.write({"a": "1", "b": "2"})
    build(bench, "--mount=source=a,target=/a")
    bench.write({"b": "3"})
    build(bench, "--mount=source=a,target=/a")
    assert len(bench.run.commands) == 1
    bench.write({"a": "4"})
    [stack] = build(bench, "--mount=source=a,target=/a").stacks
    assert (stack.path, stack.target, stack.read_only) == ("a", "/a", True)
    assert len(bench.run.commands) == 2
    with pytest.raises(BuildError, match="expected 'none' in the build context"):
        build(bench, "--mount=source=none,target=/a")


def test_what_is_bound_may_come_from_a_stage_that_nothing_else_needs(bench) -> None:
    bench.base("base")
    bench.programs["make"] = lambda command, output: {"out/x": "1"}
    bench.programs["go"] = lambda command, output: {"done": "1"}
    bench.build("FROM base AS one\nRUN make\nFROM base\nRUN --mount=from=one,source=out,target=/o,rw go\n")
    [stack] = bench.run.commands[-1].stacks
    assert (stack.path, stack.read_only, len(stack.layers)) == ("out", False, 2)


def test_rights_have_to_be_given(bench) -> None:
    with pytest.raises(BuildError, match="not allowed"):
        build(bench, "--security=insecure")
    assert build(bench, "--security=insecure", allow=frozenset({"security.insecure"})).insecure


def test_one_command_may_see_a_cache_twice(bench) -> None:
    once = "--mount=type=cache,id=x,sharing=locked,target=/{}"
    first, second = build(bench, f"{once.format('a')} {once.format('b')}").mounts
    assert (first.source, first.target, second.target) == (second.source, "/a", "/b")


def test_a_cache_is_waited_for_or_another_one_is_had(bench) -> None:
    taken = Path(build(bench, "--mount=type=cache,target=/a", no_cache=True).mounts[0].source)
    with hold_lock(taken.parent / "lock"):
        private = build(bench, "--mount=type=cache,target=/a,sharing=private", no_cache=True).mounts[0].source
        assert Path(private).parent.name == "1"
        waiting = threading.Thread(target=build, args=(bench, "--mount=type=cache,target=/a,sharing=locked,ro"))
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
        commands = len(bench.run.commands)
    waiting.join()
    assert len(bench.run.commands) == commands + 1


def test_the_name_of_the_machine_can_be_given(bench) -> None:
    assert build(bench, "").hostname == "build"
    assert build(bench, "", args={"BUILDKIT_SANDBOX_HOSTNAME": "ship"}).hostname == "ship"
