"""What is kept at rest is encrypted, with keys that only their owner can read."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from airdock.errors import SecretsError
from airdock.secrets.cipher import Cipher


def test_the_first_use_makes_a_key_that_only_its_owner_can_read(tmp_path: Path) -> None:
    file = tmp_path / "home" / "fernet.key"
    token = Cipher(file).encrypt("opensesame")
    assert "opensesame" not in token
    assert file.stat().st_mode & 0o777 == 0o600
    assert Cipher(file).decrypt(token, what="it") == "opensesame"
    assert [each.name for each in file.parent.iterdir()] == ["fernet.key"]


def test_several_that_make_the_key_at_once_have_the_same(tmp_path: Path) -> None:
    file = tmp_path / "fernet.key"
    with ThreadPoolExecutor(8) as threads:
        tokens = list(threads.map(lambda number: Cipher(file).encrypt(str(number)), range(8)))
    assert [Cipher(file).decrypt(token, what="it") for token in tokens] == [str(number) for number in range(8)]


def test_a_new_key_above_the_old_one_reads_what_the_old_one_wrote(tmp_path: Path) -> None:
    old, other = tmp_path / "old.key", tmp_path / "other.key"
    token = Cipher(old).encrypt("kept")
    newer = Cipher(other).encrypt("newer")
    old.write_text(other.read_text() + old.read_text())
    assert Cipher(old).decrypt(token, what="it") == "kept"
    assert Cipher(other).decrypt(Cipher(old).encrypt("again"), what="it") == "again"
    assert Cipher(old).decrypt(newer, what="it") == "newer"


def test_what_none_of_the_keys_wrote_is_refused(tmp_path: Path) -> None:
    token = Cipher(tmp_path / "one.key").encrypt("kept")
    with pytest.raises(SecretsError, match="connection 'db' can't be decrypted with the keys in"):
        Cipher(tmp_path / "two.key").decrypt(token, what="connection 'db'")


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        ("short", 0o600, "expected keys of 32 bytes"),
        ("", 0o600, "expected a key"),
        ("A" * 43 + "=", 0o644, "to be its owner's alone"),
    ],
)
def test_a_file_that_holds_no_key_or_is_open_to_others_is_refused(
    tmp_path: Path, content: str, mode: int, said: str
) -> None:
    file = tmp_path / "fernet.key"
    file.write_text(content)
    file.chmod(mode)
    with pytest.raises(SecretsError, match=said):
        Cipher(file).encrypt("x")
