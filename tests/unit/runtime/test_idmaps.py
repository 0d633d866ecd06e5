"""Ranges in /etc/subuid and /etc/subgid."""

from pathlib import Path

import pytest

from airdock.runtime.idmaps import IdRange, find_range

TEXT = "# a comment\nother:100000:65536\nme:300000:65536\nme:900000:10\n1001:400000:5\nbroken:x:y\n"


@pytest.mark.parametrize(
    ("name", "uid", "expected"),
    [
        ("me", 7, IdRange(first=300000, count=65536)),
        ("nobody", 1001, IdRange(first=400000, count=5)),
        ("broken", 8, None),
        ("absent", 9, None),
    ],
)
def test_the_first_range_of_an_account_counts(tmp_path: Path, name: str, uid: int, expected: IdRange | None) -> None:
    file = tmp_path / "subuid"
    file.write_text(TEXT)
    assert find_range(str(file), uid, name) == expected


def test_a_machine_without_the_file_has_no_ranges(tmp_path: Path) -> None:
    assert find_range(str(tmp_path / "absent"), 1, "me") is None
