"""Encrypts what is kept at rest: Fernet (AES-128-CBC with HMAC-SHA256), with a key in a file of its own.

AIRDOCK_HOME/
    fernet.key      one key a line, the newest first, readable by its owner alone

What was encrypted with any of the keys can be read; the first one writes. So a key is changed by adding a line above.
"""

import contextlib
import os
import stat
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

from airdock.errors import SecretsError

__all__ = ["Cipher"]


class Cipher:
    """Over the keys in a file, which is made with a fresh key when it is first needed. Any thread may call.

    `cryptography` is imported then too: most commands never need it.
    """

    def __init__(self, key_file: Path) -> None:
        self._key_file = key_file

    def encrypt(self, text: str) -> str:
        """SecretsError where there can be no key."""
        token: bytes = self._fernet.encrypt(text.encode())
        return token.decode()

    def decrypt(self, token: str, *, what: str) -> str:
        """The text. SecretsError where none of the keys was it; `what` says what can't be read."""
        from cryptography.fernet import InvalidToken

        try:
            text: bytes = self._fernet.decrypt(token)
        except InvalidToken:
            raise SecretsError(
                f"{what} can't be decrypted with the keys in {self._key_file}",
                where=str(self._key_file),
                hint="add the key with which it was written as another line, or set it anew",
            ) from None
        return text.decode()

    @cached_property
    def _fernet(self) -> Any:
        from cryptography.fernet import Fernet, MultiFernet

        try:
            return MultiFernet([Fernet(key) for key in self._keys(Fernet.generate_key)])
        except ValueError as error:
            raise SecretsError(
                f"expected keys of 32 bytes in URL-safe base64, one a line, in {self._key_file}: {error}",
                where=str(self._key_file),
            ) from error

    def _keys(self, make: Any) -> list[str]:
        if not self._key_file.exists():
            self._create(make())
        try:
            if self._key_file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise SecretsError(
                    f"expected {self._key_file} to be its owner's alone",
                    where=str(self._key_file),
                    hint=f"chmod 600 {self._key_file}",
                )
            found = self._key_file.read_text().split()
        except OSError as error:
            raise SecretsError(f"the keys can't be read: {error}", where=str(self._key_file)) from error
        if not found:
            raise SecretsError(f"expected a key in {self._key_file}, found none", where=str(self._key_file))
        return found

    def _create(self, key: bytes) -> None:
        """Write the file whole, unless somebody else does at the same time: the first one's key is the key."""
        folder = self._key_file.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=folder, prefix=".fernet-")  # 0600 by itself
        try:
            with open(descriptor, "wb") as file:
                file.write(key + b"\n")
                file.flush()
                os.fsync(descriptor)
            with contextlib.suppress(FileExistsError):
                os.link(name, self._key_file)
        except OSError as error:
            raise SecretsError(f"the key can't be written: {error}", where=str(self._key_file)) from error
        finally:
            Path(name).unlink()
