"""The keys that leave a container without ending it: ctrl-p ctrl-q, or others by `--detach-keys`."""

from typing import Final

from airdock.errors import ContainerError

__all__ = ["DEFAULT_KEYS", "DetachKeys", "parse_keys"]

DEFAULT_KEYS: Final = "ctrl-p,ctrl-q"
_CONTROLS: Final = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


def parse_keys(text: str) -> bytes:
    """The bytes of keys between commas: letters, or "ctrl-" with a letter or one of @ [ \\ ] ^ _.

    Raises ContainerError.
    """
    return bytes(_parse_key(key) for key in text.split(",")) if text else b""


def _parse_key(key: str) -> int:
    name = key.removeprefix("ctrl-")
    if name != key and len(name) == 1 and name.isascii():
        if name.isalpha():
            return ord(name.lower()) - ord("a") + 1
        if name in _CONTROLS:
            return _CONTROLS[name]
    elif len(key) == 1 and key.isascii():
        return ord(key)
    raise ContainerError(
        f"expected keys such as ctrl-p,ctrl-q or a,b, found {key!r}",
        where="--detach-keys",
        hint="ctrl- goes with a letter or one of @ [ \\ ] ^ _",
    )


class DetachKeys:
    """Looks for the keys in what is typed. What may become them is held back until it's clear."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._matched = 0

    def feed(self, typed: bytes) -> tuple[bytes, bool]:
        """What is to be passed on, and whether the keys were pressed: then nothing behind them counts."""
        passed = bytearray()
        for byte in typed:
            if self._keys and byte == self._keys[self._matched]:
                self._matched += 1
                if self._matched == len(self._keys):
                    self._matched = 0
                    return bytes(passed), True
                continue
            passed += self._keys[: self._matched]
            self._matched = 0
            if self._keys and byte == self._keys[0]:
                self._matched = 1
                if len(self._keys) == 1:
                    return bytes(passed), True
            else:
                passed.append(byte)
        return bytes(passed), False
