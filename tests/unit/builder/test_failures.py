"""What a failed command is told to be about."""

import pytest

from airdock.builder.failures import explain_failure


@pytest.mark.parametrize(
    "output",
    [
        "E: setgroups 65534 failed - setgroups (1: Operation not permitted)",
        "E: seteuid 42 failed - seteuid (22: Invalid argument)",
        "chown: changing ownership of '/x': Invalid argument",
        "chgrp: changing group of '/x': Invalid argument",
        "tar: ./x: Cannot change ownership to uid 5, gid 5: Invalid argument\ninstall: cannot chown",
    ],
)
def test_a_single_id_is_named_with_what_to_do(output: str) -> None:
    hint = explain_failure(output, mapping="one")
    assert "single id" in hint
    assert "usermod --add-subuids" in hint
    assert "apt-get install uidmap" in hint
    assert explain_failure(output, mapping="ranges") == ""


def test_other_failures_are_their_own() -> None:
    assert explain_failure("make: *** [all] Error 1", mapping="one") == ""
