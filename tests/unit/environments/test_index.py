from collections.abc import Callable
from pathlib import Path

import pytest

from airdock.environments.handover import hand_over
from airdock.environments.index import IndexSettings
from airdock.environments.uv_config import render_toml
from airdock.errors import ConfigError, EnvironmentFailedError

Machine = Callable[..., IndexSettings]


def test_a_machine_without_settings(machine: Machine) -> None:
    settings = machine()
    assert settings == IndexSettings()


def test_what_is_said_for_pip_is_said_to_uv(machine: Machine) -> None:
    settings = machine(
        {
            "~/.config/pip/pip.conf": """
[global]
index-url = https://index.example/simple
extra_index_url =
    https://a.example/simple
    https://b.example/simple
trusted-host = a.example b.example
timeout = 12.4
[install]
find-links = https://links.example/
[list]
format = columns
"""
        }
    )
    assert settings.uv == {
        "index-url": "https://index.example/simple",
        "extra-index-url": ["https://a.example/simple", "https://b.example/simple"],
        "index-strategy": "unsafe-best-match",
        "find-links": ["https://links.example/"],
        "allow-insecure-host": ["a.example", "b.example"],
    }
    assert settings.environ == {"UV_HTTP_TIMEOUT": "12"}


def test_later_files_and_variables_count_more(machine: Machine) -> None:
    files = {
        "/etc/xdg/pip/pip.conf": "[global]\nindex-url = https://1.example\nno-index = true\n",
        "/etc/pip.conf": "[global]\nindex-url = https://2.example\n",
        "~/.pip/pip.conf": "[global]\nindex-url = https://3.example\n",
        "~/.config/pip/pip.conf": "[global]\nindex-url = https://4.example\n[install]\nindex-url = https://5.example\n",
    }
    names = list(files)
    for end, expected in ((1, "https://1.example"), (2, "https://2.example"), (3, "https://3.example")):
        assert machine({name: files[name] for name in names[:end]}).uv["index-url"] == expected
    assert machine(files).uv["index-url"] == "https://5.example"
    assert machine(files).uv["no-index"] is True
    assert machine(files, {"PIP_INDEX_URL": "https://6.example"}).uv["index-url"] == "https://6.example"


def test_a_file_of_its_own_stands_for_the_users(machine: Machine, tmp_path: Path) -> None:
    files = {
        "/etc/pip.conf": "[global]\nfind-links = https://a.example\n",
        "~/.config/pip/pip.conf": "[global]\nindex-url = https://user.example\n",
        "/own.conf": "[global]\nextra-index-url = https://own.example\n",
    }
    settings = machine(files, {"PIP_CONFIG_FILE": str(tmp_path / "own.conf")})
    assert settings.uv["extra-index-url"] == ["https://own.example"]
    assert settings.uv["find-links"] == ["https://a.example"]
    assert "index-url" not in settings.uv
    assert machine(files, {"PIP_CONFIG_FILE": "/dev/null"}).uv == {}


def test_what_is_said_for_uv_counts_more(machine: Machine) -> None:
    files = {
        "~/.config/pip/pip.conf": "[global]\nindex-url = https://pip.example\ntrusted-host = pip.example\n",
        "~/.config/uv/uv.toml": 'index-url = "https://uv.example"\n[pip]\nprerelease = "allow"\n',
        "/etc/uv/uv.toml": 'index-url = "https://etc.example"\nfind-links = ["wheels"]\n',
    }
    uv = machine(files).uv
    assert uv["index-url"] == "https://uv.example"
    assert uv["prerelease"] == "allow"
    assert uv["allow-insecure-host"] == ["pip.example"]
    assert uv["find-links"][0].endswith("/etc/uv/wheels")
    only_pip = {"~/.config/uv/uv.toml": "", "/etc/uv/uv.toml": ""}
    assert machine(only_pip, {"UV_DEFAULT_INDEX": "https://x.example"}).uv.get("index-url") is None
    assert machine(only_pip, {"UV_DEFAULT_INDEX": "https://x.example"}).environ == {
        "UV_DEFAULT_INDEX": "https://x.example"
    }


def test_variables_of_uv_that_are_about_other_things_stay_out(machine: Machine) -> None:
    environ = {"UV_CACHE_DIR": "/x", "UV_PYTHON": "3.9", "UV_LINK_MODE": "symlink", "UV_INDEX_ACME_PASSWORD": "secret"}
    assert machine({}, environ).environ == {"UV_INDEX_ACME_PASSWORD": "secret"}


@pytest.mark.parametrize("name", ["http_proxy", "HTTPS_PROXY", "no_proxy", "ALL_PROXY"])
def test_proxies_are_passed_on_as_they_are(machine: Machine, name: str) -> None:
    assert machine({}, {name: "http://proxy.example:3128"}).environ == {name: "http://proxy.example:3128"}


def test_pips_proxy_is_everybodys_unless_there_is_another(machine: Machine) -> None:
    files = {"/etc/pip.conf": "[global]\nproxy = proxy.example:3128\n"}
    assert machine(files).environ["HTTPS_PROXY"] == "http://proxy.example:3128"
    assert machine(files).environ["http_proxy"] == "http://proxy.example:3128"
    other = machine(files, {"https_proxy": "http://other.example"}).environ
    assert "HTTPS_PROXY" not in other
    assert other["https_proxy"] == "http://other.example"


def test_which_certificates_are_trusted(machine: Machine, tmp_path: Path) -> None:
    bundles = {name: tmp_path / f"{name}.pem" for name in ("SSL_CERT_FILE", "pip", "REQUESTS_CA_BUNDLE")}
    for name, path in bundles.items():
        path.write_text(name)
    files = {"/etc/ssl/certs/ca-certificates.crt": "the machine's"}
    assert machine(files).certificates == tmp_path / "etc/ssl/certs/ca-certificates.crt"
    environ = {"REQUESTS_CA_BUNDLE": str(bundles["REQUESTS_CA_BUNDLE"])}
    assert machine({}, environ).certificates == bundles["REQUESTS_CA_BUNDLE"]
    files = {"/etc/pip.conf": f"[global]\ncert = {bundles['pip']}\n"}
    assert machine(files, environ).certificates == bundles["pip"]
    environ["SSL_CERT_FILE"] = str(bundles["SSL_CERT_FILE"])
    assert machine({}, environ).certificates == bundles["SSL_CERT_FILE"]
    assert machine({}, {"SSL_CERT_FILE": "/no/such/file"}).certificates == bundles["pip"]


def test_local_places_have_to_be_seen(machine: Machine, tmp_path: Path) -> None:
    for folder in ("index/simple", "wheels", "more"):
        (tmp_path / folder).mkdir(parents=True)
    settings = machine(
        {"/etc/pip.conf": f"[global]\nindex-url = file://{tmp_path}/index/simple\nfind-links = {tmp_path}/wheels\n"},
    )
    assert settings.folders == (f"{tmp_path}/index", f"{tmp_path}/wheels")
    settings = machine(
        {"/etc/pip.conf": ""}, {"UV_INDEX": f"acme=file://{tmp_path}/more https://b.example", "UV_FIND_LINKS": "/none"}
    )
    assert settings.folders == (f"{tmp_path}/more",)


def test_the_fingerprint_is_about_versions_only(machine: Machine, tmp_path: Path) -> None:
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("idna<3\n")

    def fingerprint(text: str, **environ: str) -> str:
        return machine({"/etc/pip.conf": f"[global]\n{text}\n"}, environ).fingerprint

    plain = fingerprint("index-url = https://index.example")
    assert fingerprint("index-url = https://user:token1@index.example") == plain
    assert fingerprint("index-url = https://index.example\ntimeout = 3\nproxy = x:1") == plain
    assert fingerprint("index-url = https://index.example", SSL_CERT_FILE=str(constraints)) == plain
    assert fingerprint("index-url = https://other.example") != plain
    assert fingerprint("index-url = https://index.example", UV_EXCLUDE_NEWER="2024-01-01") != plain
    constrained = fingerprint(f"index-url = https://index.example\nconstraint = {constraints}")
    assert constrained != plain
    constraints.write_text("idna<4\n")
    assert fingerprint(f"index-url = https://index.example\nconstraint = {constraints}") != constrained


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("/etc/pip.conf", "no section\n"),
        ("/etc/pip.conf", "[global]\ntimeout = soon\n"),
        ("~/.config/uv/uv.toml", "index-url = \n"),
    ],
)
def test_settings_that_cannot_be_understood(machine: Machine, name: str, text: str) -> None:
    with pytest.raises(ConfigError, match="expected"):
        machine({name: text})


def test_what_a_build_is_given(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "c1.txt").write_text("idna<3\n")
    (tmp_path / "ca.crt").write_text("-----BEGIN CERTIFICATE-----\n")
    settings = machine(
        {
            "/etc/pip.conf": f"[global]\nindex-url = https://index.example\nconstraint = {tmp_path}/c1.txt https://c.example/c.txt\n"
            f"cert = {tmp_path}/ca.crt\ncache-dir = /nowhere\n",
            "~/.netrc": "machine index.example login me password secret\n",
        }
    )
    with hand_over(settings, tmp_path / "cache", seen_at="/inside") as given:
        assert given.folder.parent.stat().st_mode & 0o777 == 0o700
        assert given.folder.stat().st_mode & 0o777 == 0o755
        assert (given.folder / "constraints.txt").read_text() == "idna<3\n\n-c https://c.example/c.txt\n"
        assert (given.folder / "uv.toml").read_text() == '"index-url" = "https://index.example"\n'
        assert (given.folder / "pip.conf").read_text() == (
            "[global]\nconstraint = /inside/constraints.txt\nindex-url = https://index.example\n"
        )
        assert given.environ == {
            "UV_CONFIG_FILE": "/inside/uv.toml",
            "PIP_CONFIG_FILE": "/inside/pip.conf",
            "SSL_CERT_FILE": "/inside/ca.pem",
            "REQUESTS_CA_BUNDLE": "/inside/ca.pem",
            "CURL_CA_BUNDLE": "/inside/ca.pem",
            "PIP_CERT": "/inside/ca.pem",
            "NETRC": "/inside/netrc",
        }
        assert given.compile_options == ("--constraints", "/inside/constraints.txt")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_folder_of_certificates_becomes_one_file(machine: Machine, tmp_path: Path) -> None:
    folder = tmp_path / "certificates"
    folder.mkdir()
    for name in ("a.pem", "b.pem"):
        (folder / name).write_text(f"{name}\n")
    (folder / "0a1b2c3d.0").symlink_to("a.pem")
    settings = machine({}, {"SSL_CERT_DIR": f"/none:{folder}"})
    with hand_over(settings, tmp_path / "cache") as given:
        assert (given.folder / "ca.pem").read_text() == "a.pem\n"
        assert given.environ["SSL_CERT_FILE"] == str(given.folder / "ca.pem")


def test_toml_is_written_as_it_was_read() -> None:
    import tomllib

    text = """
a = "quo\\"te ü 😀"
b = [1, 2.5, true]
c = 2024-01-01
index = [{ name = "x", url = "https://x", explicit = true }]
"d e" = "\\u0007\\t"
"""
    settings = tomllib.loads(text)
    assert tomllib.loads(render_toml(settings)) == settings


def test_what_a_killed_process_left_is_removed(machine: Machine, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    gone, alive = cache / f"index-{2**22 - 1}-x", cache / "index-1-x"
    for folder in (gone, alive):
        folder.mkdir(parents=True)
    with hand_over(machine(), cache):
        assert not gone.exists()
        assert alive.exists()


def test_a_file_that_settings_name_and_that_is_not_there(machine: Machine, tmp_path: Path) -> None:
    settings = machine({}, {"PIP_CONSTRAINT": "/no/such/constraints.txt"})
    with pytest.raises(EnvironmentFailedError) as caught, hand_over(settings, tmp_path / "cache"):
        pass
    assert caught.value.where == "/no/such/constraints.txt"
    assert list((tmp_path / "cache").iterdir()) == []
