from airdock.containers.health import Health, HealthCheck, Probe, make_check

CHECK = HealthCheck(argv=("true",), interval_s=30, retries=2, start_period_s=10, start_interval_s=1)


def probe(exit_code: int) -> Probe:
    return Probe(start="a", end="b", exit_code=exit_code, output="")


def test_failures_count_after_the_start_period() -> None:
    health = Health().after(probe(1), CHECK, uptime_s=5)
    assert (health.status, health.streak) == ("starting", 0)
    health = health.after(probe(1), CHECK, uptime_s=11)
    assert (health.status, health.streak) == ("starting", 1)
    health = health.after(probe(1), CHECK, uptime_s=12)
    assert (health.status, health.streak) == ("unhealthy", 2)


def test_one_success_makes_it_healthy_and_ends_the_start_period() -> None:
    health = Health().after(probe(0), CHECK, uptime_s=1)
    assert (health.status, health.streak) == ("healthy", 0)
    health = health.after(probe(1), CHECK, uptime_s=2)
    assert (health.status, health.streak) == ("healthy", 1)
    assert health.after(probe(1), CHECK, uptime_s=3).status == "unhealthy"
    assert health.after(probe(0), CHECK, uptime_s=3).streak == 0


def test_probes_come_faster_while_it_starts() -> None:
    assert Health().wait_s(CHECK, uptime_s=1) == 1
    assert Health().wait_s(CHECK, uptime_s=11) == 30
    assert Health(status="healthy").wait_s(CHECK, uptime_s=1) == 30


def test_the_last_five_probes_are_kept_and_survive_the_disk() -> None:
    health = Health()
    for code in range(7):
        health = health.after(probe(code), CHECK, uptime_s=100)
    assert [entry["ExitCode"] for entry in health.log] == [2, 3, 4, 5, 6]
    assert Health.from_dict(health.to_dict()) == health
    assert HealthCheck.from_dict(CHECK.to_dict()) == CHECK


def test_flags_go_over_the_image() -> None:
    image = {"Test": ["CMD-SHELL", "curl -f x"], "Interval": 5_000_000_000, "Retries": 7}
    made = make_check(image, {"timeout_s": 2.0, "retries": None})
    assert made == HealthCheck(argv=("/bin/sh", "-c", "curl -f x"), interval_s=5, timeout_s=2, retries=7)
    assert make_check(image, {"cmd": "test -e /ok"}, shell=("/bin/ash", "-ec")) == HealthCheck(
        argv=("/bin/ash", "-ec", "test -e /ok"), interval_s=5, retries=7
    )
    assert make_check({"Test": ["CMD", "a", "b"]}, {}) == HealthCheck(argv=("a", "b"))


def test_no_check() -> None:
    assert make_check(None, {}) is None
    assert make_check({"Test": ["NONE"]}, {}) is None
    assert make_check({"Test": ["CMD", "a"]}, {"none": True}) is None
