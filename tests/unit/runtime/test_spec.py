"""Configurations: valid by the specification's own schema, and what they say."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

from airdock.model.mount import Mount
from airdock.model.usage import Resources
from airdock.runtime.spec import make_config, resources_of

SCHEMAS = Path(__file__).parents[4] / "shared/data/oci/runtime-spec"


@pytest.fixture(scope="module")
def validate() -> Callable[[dict[str, Any]], None]:
    """Checks a configuration by the schemas of the runtime specification, where a copy lies beside the repository."""
    if not SCHEMAS.exists():
        pytest.skip(f"no copy of the OCI runtime specification's schemas at {SCHEMAS}")

    def load(uri: str) -> Resource[Any]:
        contents = json.loads((SCHEMAS / uri.rsplit("/", 1)[-1]).read_text())
        return DRAFT4.create_resource(contents)

    schema = json.loads((SCHEMAS / "config-schema.json").read_text())
    schema["$id"] = schema["id"] = (SCHEMAS / "config-schema.json").as_uri()
    registry: Registry[Any] = Registry(retrieve=load)  # type: ignore[call-arg]
    checker = jsonschema.Draft4Validator(schema, registry=registry)
    return lambda config: checker.validate(config)


CASES: dict[str, dict[str, Any]] = {
    "least": {"argv": ["true"]},
    "network none": {"argv": ["true"], "network": "none"},
    "everything": {
        "argv": ["sh", "-c", "exit 1"],
        "env": {"A": "b=c"},
        "cwd": "/srv",
        "user": (1000, 1000, (4, 5)),
        "hostname": "box",
        "terminal": True,
        "binds": [Mount(source="/a", target="/b"), Mount(source="/c", target="/d", read_only=False)],
        "tmpfs": ["/tmp"],
        "resources": Resources(memory_bytes=1 << 28, cpus=1.5, pids=100),
        "read_only_root": True,
        "seccomp": False,
        "annotations": {"a": "b"},
    },
    "user by name": {"argv": ["true"], "user": "airflow:root"},
}


@pytest.mark.parametrize("case", CASES)
def test_a_configuration_is_valid(case: str, validate: Callable[[dict[str, Any]], None]) -> None:
    validate(make_config(**CASES[case]))


def test_the_schema_is_a_schema(validate: Callable[[dict[str, Any]], None]) -> None:
    config = make_config(argv=["true"])
    config["linux"]["namespaces"][0]["type"] = "nonsense"
    with pytest.raises(jsonschema.ValidationError, match="nonsense"):
        validate(config)


def test_limits_come_back_as_they_were_given() -> None:
    resources = Resources(memory_bytes=1 << 28, cpus=1.5, pids=100)
    assert resources_of(make_config(argv=["true"], resources=resources)) == resources
    assert resources_of(make_config(argv=["true"])) == Resources()


def test_a_configuration_is_json() -> None:
    config = make_config(**CASES["everything"])
    assert json.loads(json.dumps(config)) == config


def test_binds_come_parents_first() -> None:
    binds = [Mount(source="/x", target="/a/b/c"), Mount(source="/y", target="/a"), Mount(source="/z", target="/a/b/")]
    mounts = make_config(argv=["true"], binds=binds)["mounts"]
    assert [mount["destination"] for mount in mounts if mount["type"] == "bind" and mount["source"] != "/sys"] == [
        "/a",
        "/a/b/",
        "/a/b/c",
    ]


def test_nothing_is_shared_but_the_network_where_asked() -> None:
    kinds = {entry["type"] for entry in make_config(argv=["true"])["linux"]["namespaces"]}
    assert kinds == {"user", "mount", "pid", "ipc", "uts", "cgroup"}
    none = {entry["type"] for entry in make_config(argv=["true"], network="none")["linux"]["namespaces"]}
    assert none == kinds | {"network"}


def test_the_user_gains_nothing_by_running_programs() -> None:
    assert make_config(argv=["true"])["process"]["noNewPrivileges"] is True


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"network": "bridge"}, "expected network to be 'host', 'none' or the path of a namespace, found 'bridge'"),
        ({"argv": []}, "a command"),
    ],
)
def test_what_cannot_be_said_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_config(**{"argv": ["true"], **wrong})
