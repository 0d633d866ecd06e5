"""Variables and connections: from the environment, else from the store, where nobody can read them (reference 4.7)."""

import json
from pathlib import Path

import pytest

from airdock.errors import SecretsError
from airdock.secrets.cipher import Cipher
from airdock.secrets.vault import Kept, Vault
from airdock.store.memory import MemoryStore
from airdock.store.records import Variable

URI = "postgres://ann:s3cr3t%2F@db.example.com:5433/sales?sslmode=require"


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def vault(store: MemoryStore, tmp_path: Path) -> Vault:
    environ = {
        "AIRFLOW_VAR_GIVEN": "of the environment",
        "AIRDOCK_VAR_OWN": "own",
        "AIRFLOW_CONN_WEB": "https://example.com",
        "AIRFLOW_CONN_BAD": "secret-without-scheme",
    }
    return Vault(store=store, cipher=Cipher(tmp_path / "fernet.key"), environ=environ)


def test_a_variable_is_kept_encrypted(vault: Vault, store: MemoryStore) -> None:
    assert vault.variable("token") is None
    vault.set_variable("token", "opensesame", description="the door")
    row = store.load_variable("token")
    assert row is not None
    assert "opensesame" not in row.value
    assert vault.variable("token") == "opensesame"
    vault.set_variable("token", "other")
    assert vault.variables() == [Kept(name="token", description="the door")]
    assert vault.variable("token") == "other"
    assert vault.delete_variable("token")
    assert not vault.delete_variable("token")
    assert vault.variable("token") is None


def test_the_environment_goes_first_and_names_are_upper_case_there(vault: Vault) -> None:
    vault.set_variable("given", "of the store")
    assert vault.variable("given") == "of the environment"
    assert vault.variable("own") == "own"
    web = vault.connection("web")
    assert web is not None
    assert (web["conn_id"], web["host"]) == ("web", "example.com")


def test_a_connection_is_given_as_uri_json_or_fields(vault: Vault, store: MemoryStore) -> None:
    vault.set_connection("db", URI, description="sales")
    row = store.load_connection("db")
    assert row is not None
    assert "s3cr3t" not in row.value
    assert (row.conn_type, row.description) == ("postgres", "sales")
    db = vault.connection("db")
    assert db is not None
    assert {name: db[name] for name in ("conn_type", "host", "login", "password", "schema", "port", "extra")} == {
        "conn_type": "postgres", "host": "db.example.com", "login": "ann", "password": "s3cr3t/", "schema": "sales",
        "port": 5433, "extra": '{"sslmode": "require"}',
    }  # fmt: skip
    vault.set_connection("mail", '{"conn_type": "smtp", "host": "m", "extra": {"tls": true}}')
    vault.set_connection("files", {"conn_type": "fs", "extra": {"path": "/data"}})
    assert vault.connection("mail") is not None
    assert vault.connection("mail")["extra"] == '{"tls": true}'  # type: ignore[index]
    assert [(each.name, each.kind) for each in vault.connections()] == [
        ("db", "postgres"), ("files", "fs"), ("mail", "smtp"),
    ]  # fmt: skip
    assert vault.delete_connection("db")
    assert vault.connection("db") is None


def test_what_is_no_connection_is_refused_without_repeating_it(vault: Vault) -> None:
    for given in ("hunter22-not-a-uri", "{broken: hunter22", "http://h:hunter22port/"):
        with pytest.raises(SecretsError, match="expected connection 'x' to be a URI or a JSON object") as caught:
            vault.set_connection("x", given)
        assert "hunter22" not in f"{caught.value.message}{caught.value.hint}"
    with pytest.raises(SecretsError, match="expected connection 'bad'"):
        vault.connection("bad")


def test_names_are_checked(vault: Vault) -> None:
    with pytest.raises(SecretsError, match="expected the name of a variable"):
        vault.set_variable(" ", "x")
    with pytest.raises(SecretsError, match="expected the name of a connection"):
        vault.set_connection("a" * 251, URI)


def test_all_can_be_given_to_a_file_that_is_loaded(vault: Vault, store: MemoryStore) -> None:
    vault.set_variable("token", "opensesame")
    vault.set_connection("db", URI)
    told = json.loads(vault.to_json())
    assert told["variables"] == {"token": "opensesame"}
    assert told["environment"] == {"GIVEN": "of the environment", "OWN": "own"}
    assert sorted(told["connections"]) == ["db", "web"]
    assert told["connections"]["db"]["password"] == "s3cr3t/"
    store.save_variable(Variable(name="broken", value="not encrypted", description=""))
    assert "broken" not in json.loads(vault.to_json())["variables"]
    assert Vault(store=MemoryStore(), cipher=Cipher(Path("/nonexistent")), environ={}).to_json() == b""
