import pytest

from airdock.environments.uv import Complaint, needs_build, parse_complaint

NEW = """\
error: No solution found when resolving dependencies
  cause: Because there is no version of pandas==99 and you require pandas==99, we \
can conclude that your requirements are unsatisfiable.
"""
OLD = """\
  \N{MULTIPLICATION SIGN} No solution found when resolving dependencies:
  ╰─▶ Because only pandas<=2.3 is available and you require pandas==99, we
      can conclude that your requirements are unsatisfiable.

      hint: pandas was found, but not at
      the requested version
"""
NO_WHEEL = """\
error: No solution found when resolving dependencies
  cause: Because docopt==0.6.2 has no usable wheels and you require docopt==0.6.2, \
we can conclude that your requirements are unsatisfiable.
hint: Wheels are required for `docopt` because building from source is disabled for \
all packages (i.e., with `--no-build`)
"""
UNTRUSTED = """\
error: Request failed after 3 retries
  cause: Failed to fetch: `https://index.example/simple/six/`
  cause: client error (Connect)
  cause: invalid peer certificate: UnknownIssuer
"""
REFUSED = """\
error: Failed to fetch: `https://index.example/simple/six/`
  Caused by: error sending request for url (https://index.example/simple/six/)
  Caused by: tcp connect error: Connection refused (os error 111)
"""


@pytest.mark.parametrize(
    ("output", "complaint"),
    [
        (NEW, Complaint(message="Because there is no version of pandas==99 and the task requires pandas==99")),
        (
            OLD,
            Complaint(
                message="Because only pandas<=2.3 is available and the task requires pandas==99",
                hint="pandas was found, but not at the requested version",
            ),
        ),
        (
            UNTRUSTED,
            Complaint(
                message="Request failed after 3 retries: invalid peer certificate: UnknownIssuer",
                hint="the index shows a certificate that isn't trusted here: "
                "set SSL_CERT_FILE to the bundle that has it",
            ),
        ),
        (
            REFUSED,
            Complaint(
                message="Failed to fetch: `https://index.example/simple/six/`: "
                "tcp connect error: Connection refused (os error 111)",
                hint="is the index reachable? proxies and indexes are taken from the environment, pip.conf and uv.toml",
            ),
        ),
        ("error: The wheel filename `x` is invalid", Complaint(message="The wheel filename `x` is invalid")),
        ("\x1b[31msomething else\x1b[0m\nat the end\n", Complaint(message="at the end")),
        ("", Complaint(message="uv said nothing")),
    ],
)  # fmt: skip
def test_what_uv_says_without_the_noise(output: str, complaint: Complaint) -> None:
    assert parse_complaint(output) == complaint


def test_only_missing_wheels_are_worth_a_build() -> None:
    assert needs_build(NO_WHEEL)
    assert not needs_build(NEW)
    assert not needs_build(REFUSED)
