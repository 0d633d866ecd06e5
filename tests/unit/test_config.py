"""Settings: which source counts, and what is said of a value that can't be."""

from pathlib import Path

import pytest

from airdock.config import Config, load_config
from airdock.errors import ConfigError


def load(home: Path, toml: str = "", *, flags: dict[str, str | None] | None = None, **environ: str) -> Config:
    if toml:
        (home / "airdock.toml").write_text(toml)
    return load_config(environ={"AIRDOCK_HOME": str(home), **environ}, flags=flags)


def test_without_anything_every_setting_is_its_default(tmp_path: Path) -> None:
    config = load(tmp_path)
    assert config.home == tmp_path
    assert config.core.executor == "local"
    assert config.core.parallelism is None
    assert config.isolation.mode == "container"
    assert {row.source for row in config.rows() if row.name != "home"} == {"default"}


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    toml = '[core]\nexecutor = "sequential"\nparallelism = 1\n[logging]\ntail_lines = 7\n'
    config = load(
        tmp_path,
        toml,
        flags={"core.parallelism": "3", "core.executor": None},
        AIRDOCK__CORE__PARALLELISM="2",
        AIRDOCK__CORE__EXECUTOR="local",
    )
    assert (config.core.executor, config.core.parallelism, config.logging.tail_lines) == ("local", 3, 7)
    assert config.sources == {
        "home": "AIRDOCK_HOME",
        "core.executor": "AIRDOCK__CORE__EXECUTOR",
        "core.parallelism": "--parallelism",
        "logging.tail_lines": str(tmp_path / "airdock.toml"),
    }


def test_the_home_flag_chooses_the_file_that_is_read(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "airdock.toml").write_text('[isolation]\nmode = "process"\n')
    config = load(tmp_path, flags={"home": str(other)})
    assert (config.home, config.isolation.mode, config.sources["home"]) == (other, "process", "--home")


def test_folders_are_a_list_in_the_file_and_separated_in_the_environment(tmp_path: Path) -> None:
    assert load(tmp_path, '[environments]\npython_search = ["/a", "/b"]\n').environments.python_search == ("/a", "/b")
    config = load(tmp_path, AIRDOCK__ENVIRONMENTS__PYTHON_SEARCH="/c:/d")
    assert config.environments.python_search == ("/c", "/d")


def test_sizes_are_numbers_or_have_a_unit(tmp_path: Path) -> None:
    config = load(tmp_path, '[images]\nmax_size = "1.5GB"\n[build]\ncache_max_size = 1000\n')
    assert (config.images.max_size, config.build.cache_max_size) == (1_500_000_000, 1000)
    assert load(tmp_path, AIRDOCK__IMAGES__MAX_SIZE="2GiB").images.max_size == 2 << 30
    with pytest.raises(ConfigError, match=r"expected images\.max_size to be a size such as 20GB, got 'much'"):
        load(tmp_path, AIRDOCK__IMAGES__MAX_SIZE="much")


def test_other_variables_of_the_name_are_left_alone(tmp_path: Path) -> None:
    assert load(tmp_path, AIRDOCK_DEBUG="1", AIRDOCK_CHANNEL="/x").sources == {"home": "AIRDOCK_HOME"}


@pytest.mark.parametrize(
    ("toml", "environ", "message", "where", "hint"),
    [
        ('[core]\nexecutor = "celry"\n', {}, "core.executor to be 'local' or 'sequential', got 'celry'", "[core]", ""),
        ("[core]\nparallelism = 0\n", {}, "core.parallelism to be a whole number above 0, got 0", "[core]", ""),
        ("[core]\nparallelism = true\n", {}, "core.parallelism to be a whole number above 0, got True", "[core]", ""),
        ('[core]\nparallelism = "4"\n', {}, "core.parallelism to be a whole number above 0, got '4'", "[core]", ""),
        ("[core]\nparalelism = 4\n", {}, "a setting that there is, got core.paralelism", "[core]", "parallelism?"),
        ("[cores]\nparallelism = 4\n", {}, "a setting that there is, got [cores]", "airdock.toml", "[core]?"),
        ('network = "none"\n', {}, "expected network to be a table, got 'none'", "airdock.toml", "[network]"),
        ("[core\n", {}, "expected TOML, got:", "airdock.toml", ""),
        ("", {"AIRDOCK__CORE__PARALLELISM": "many"}, "got 'many'", "AIRDOCK__CORE__PARALLELISM", ""),
        ("", {"AIRDOCK__ISOLATON__MODE": "process"}, "got isolaton.mode", "environment", "AIRDOCK__ISOLATION__MODE?"),
        ("", {"AIRDOCK__ISOLATION": "process"}, "got isolation", "environment", "AIRDOCK__"),
    ],
)
def test_a_wrong_setting_is_named_with_its_place_and_what_it_should_be(
    tmp_path: Path, toml: str, environ: dict[str, str], message: str, where: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, toml, **environ)
    assert message in caught.value.message
    assert caught.value.message.startswith("expected ")
    assert where in caught.value.where
    assert hint in caught.value.hint


def test_a_wrong_flag_is_named_as_it_was_given(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"isolation\.mode to be 'container' or 'process', got 'vm'") as caught:
        load(tmp_path, flags={"isolation.mode": "vm"})
    assert caught.value.where == "--isolation"


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "airdock.toml").mkdir()
    with pytest.raises(ConfigError, match="Is a directory") as caught:
        load(tmp_path)
    assert caught.value.where == str(tmp_path / "airdock.toml")


def test_a_password_is_not_shown(tmp_path: Path) -> None:
    url = "postgresql://me:secret@host/name"
    config = load_config(environ={"AIRDOCK_HOME": str(tmp_path), "AIRDOCK__DATABASE__URL": url})
    assert config.database.url == url
    assert {row.name: row.value for row in config.rows()}["database.url"] == "postgresql://me:***@host/name"
