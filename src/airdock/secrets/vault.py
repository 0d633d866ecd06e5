"""Airflow's variables and connections: from the server's environment, else from the store, where they are encrypted."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from airdock.errors import SecretsError
from airdock.record import record
from airdock.runner.inside.connection import Connection
from airdock.secrets.cipher import Cipher
from airdock.store.base import Store
from airdock.store.records import ConnectionRow, Variable

__all__ = ["Kept", "Vault"]

_PREFIXES: Final = ("AIRFLOW_", "AIRDOCK_")
_CONNECTIONS: Final = tuple(f"{prefix}CONN_" for prefix in _PREFIXES)


@record
class Kept:
    """What may be shown of a variable or a connection; `kind` is the type of a connection."""

    name: str
    kind: str = ""
    description: str = ""


class Vault:
    """Any thread may call. `environ` is the server's environment: AIRFLOW_VAR_NAME, AIRFLOW_CONN_ID, or AIRDOCK_ both.

    What is there hides what is in the store, and can't be set or deleted. Raises SecretsError for what can't be read.
    """

    def __init__(self, *, store: Store, cipher: Cipher, environ: Mapping[str, str]) -> None:
        self._store, self._cipher, self._environ = store, cipher, environ

    # Variables

    def variable(self, name: str) -> str | None:
        """The text of a variable, None where there is none."""
        if (found := self._given("VAR", name)) is not None:
            return found
        row = self._store.load_variable(name)
        return None if row is None else self._cipher.decrypt(row.value, what=f"variable {name!r}")

    def set_variable(self, name: str, value: str, *, description: str | None = None) -> None:
        """Keep a variable, over the one there may be; its description stays where none is given."""
        _check(name, "variable")
        before = self._store.load_variable(name) if description is None else None
        text = description if description is not None else before.description if before else ""
        self._store.save_variable(Variable(name=name, value=self._cipher.encrypt(value), description=text))

    def delete_variable(self, name: str) -> bool:
        """Whether there was one."""
        return self._store.delete_variable(name)

    def variables(self) -> list[Kept]:
        """Those in the store, by name."""
        return [Kept(name=row.name, description=row.description) for row in self._store.list_variables()]

    # Connections

    def connection(self, id: str) -> Mapping[str, Any] | None:
        """The fields of a connection (`conn_id`, `conn_type`, `host`, …), None where there is none."""
        if (text := self._given("CONN", id)) is not None:
            return _parse(id, text).as_dict()  # type: ignore[no-any-return, no-untyped-call]
        row = self._store.load_connection(id)
        if row is None:
            return None
        fields = json.loads(self._cipher.decrypt(row.value, what=f"connection {id!r}"))
        return {**fields, "conn_id": id, "conn_type": row.conn_type, "description": row.description}

    def set_connection(self, id: str, given: str | Mapping[str, Any], *, description: str | None = None) -> None:
        """Keep a connection, given as a URI, as JSON or by its fields, over the one there may be."""
        _check(id, "connection")
        made = _parse(id, given if isinstance(given, str) else json.dumps(dict(given)))
        fields = {name: value for name, value in made.as_dict().items() if value not in (None, "")}  # type: ignore[no-untyped-call]
        row = ConnectionRow(
            id=id,
            conn_type=fields.pop("conn_type", ""),
            description=description if description is not None else fields.pop("description", ""),
            value=self._cipher.encrypt(json.dumps(fields)),
        )
        self._store.save_connection(row)

    def delete_connection(self, id: str) -> bool:
        """Whether there was one."""
        return self._store.delete_connection(id)

    def connections(self) -> list[Kept]:
        """Those in the store, by id."""
        rows = self._store.list_connections()
        return [Kept(name=row.id, kind=row.conn_type, description=row.description) for row in rows]

    def to_json(self) -> bytes:
        """All there are, as `dag.load` reads them; what can't be decrypted is left out."""
        told: dict[str, dict[str, Any]] = {"variables": {}, "environment": {}, "connections": {}}
        for prefix in reversed(_PREFIXES):
            start = f"{prefix}VAR_"
            found = {name.removeprefix(start): text for name, text in self._environ.items() if name.startswith(start)}
            told["environment"].update(found)
        ids = [row.id for row in self._store.list_connections()]
        ids += [name.partition("_CONN_")[2].lower() for name in self._environ if name.startswith(_CONNECTIONS)]
        for name in (row.name for row in self._store.list_variables()):
            with suppress(SecretsError):
                told["variables"][name] = self.variable(name)
        for id in ids:
            with suppress(SecretsError):
                told["connections"][id] = self.connection(id)
        return json.dumps(told).encode() if any(told.values()) else b""

    def _given(self, kind: str, name: str) -> str | None:
        found = (self._environ.get(f"{prefix}{kind}_{name.upper()}") for prefix in _PREFIXES)
        return next((each for each in found if each is not None), None)


def _parse(id: str, text: str) -> Connection:
    try:
        return Connection.parse(id, text)  # type: ignore[no-any-return, no-untyped-call]
    except (ValueError, TypeError, AttributeError):  # what it says may repeat a part of the text, which is a secret
        raise SecretsError(
            f"expected connection {id!r} to be a URI or a JSON object",
            hint="such as postgres://login:password@host:5432/schema",
        ) from None


def _check(name: str, what: str) -> None:
    if not name.strip() or len(name) > 250:
        raise SecretsError(f"expected the name of a {what} to have 1 to 250 characters, found {name!r}")
