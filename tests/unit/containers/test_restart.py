import pytest

from airdock.containers.restart import Backoff, RestartPolicy, parse_restart
from airdock.errors import ContainerError


@pytest.mark.parametrize(
    ("text", "name", "retries"),
    [
        ("no", "no", 0),
        ("", "no", 0),
        ("always", "always", 0),
        ("unless-stopped", "unless-stopped", 0),
        ("on-failure", "on-failure", 0),
        ("on-failure:5", "on-failure", 5),
    ],
)
def test_policies_are_read(text: str, name: str, retries: int) -> None:
    assert parse_restart(text) == RestartPolicy(name=name, retries=retries)


@pytest.mark.parametrize("text", ["sometimes", "always:3", "on-failure:", "on-failure:-1", "on-failure:x", "no:1"])
def test_other_policies_are_refused(text: str) -> None:
    with pytest.raises(ContainerError, match="expected a restart policy"):
        parse_restart(text)


@pytest.mark.parametrize(
    ("text", "exit_code", "restarts", "stopped", "wanted"),
    [
        ("no", 1, 0, False, False),
        ("always", 0, 1000, False, True),
        ("always", 0, 0, True, False),
        ("unless-stopped", 1, 0, False, True),
        ("unless-stopped", 1, 0, True, False),
        ("on-failure", 0, 0, False, False),
        ("on-failure", 1, 1000, False, True),
        ("on-failure:3", 1, 2, False, True),
        ("on-failure:3", 1, 3, False, False),
    ],
)
def test_who_starts_again(text: str, exit_code: int, restarts: int, stopped: bool, wanted: bool) -> None:
    assert parse_restart(text).wants(exit_code=exit_code, restarts=restarts, stopped=stopped) is wanted


def test_the_wait_doubles_up_to_a_minute_and_begins_again_after_ten_seconds_of_life() -> None:
    backoff, waits = Backoff(), []
    for _ in range(12):
        backoff = backoff.after(0.5)
        waits.append(backoff.delay_s)
    assert waits[:4] == [0.1, 0.2, 0.4, 0.8]
    assert waits[-1] == 60.0
    assert backoff.after(10.0).delay_s == 0.1
