"""Dockerfiles, ignore files and words of any kind: understood, or refused with our own error, in bounded time.

AIRDOCK_FUZZ_EXAMPLES sets how many are tried of each kind.
"""

import os

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airdock.builder.dockerfile import parse_dockerfile
from airdock.builder.ignore import IgnoreRules, parse_ignore_file
from airdock.builder.words import expand_word, expand_words
from airdock.errors import AirdockError

FUZZ = settings(
    max_examples=int(os.environ.get("AIRDOCK_FUZZ_EXAMPLES", "150")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TOKENS = st.sampled_from(
    [
        *[
            "FROM",
            "RUN",
            "COPY",
            "ADD",
            "ENV",
            "ARG",
            "CMD",
            "ENTRYPOINT",
            "LABEL",
            "USER",
            "WORKDIR",
            "EXPOSE",
            "VOLUME",
            "SHELL",
            "HEALTHCHECK",
            "ONBUILD",
        ],
        *(
            "STOPSIGNAL",
            "MAINTAINER",
            "AS",
            "NONE",
            "scratch",
            "a",
            "$a",
            "${a",
            "${a:-$b}",
            "${a%%*}",
            "${a//x/y}",
            "}",
        ),
        *(
            "\n",
            "\n",
            "\n",
            " ",
            " ",
            "\t",
            "\\\n",
            "\\",
            "`",
            "#",
            "# syntax=x\n",
            "# escape=`\n",
            "# check=skip=all\n",
        ),
        *(
            "<<E",
            "<<-E",
            "<<'E'",
            "\nE\n",
            '["a"',
            ',"b"]',
            "[",
            "]",
            '"',
            "'",
            "=",
            "a=b",
            "--from=a",
            "--mount=",
            "--chmod=",
        ),
        *(
            "--mount=type=cache,target=/x",
            "--interval=1s",
            "--platform=linux/amd64",
            "/",
            "..",
            "*",
            "80/tcp",
            "\0",
            "\r\n",
            "é",
        ),
    ]
)
TEXTS = st.lists(TOKENS, max_size=30).map("".join) | st.text(max_size=100)


@FUZZ
@given(TEXTS | TEXTS.map(lambda text: "FROM scratch\n" + text))
@example("FROM scratch\n" + "RUN \\\n" * 3000)
@example("FROM scratch\nRUN <<E\n" + "x\n" * 3000)
@example("FROM scratch\nENV a=" + "${b:-" * 2000)
@example("FROM scratch\nCMD " + "[" * 100_000)
@example("ONBUILD " * 3000 + "RUN x")
def test_a_dockerfile(text: str) -> None:
    try:
        parse_dockerfile(text)
    except AirdockError as error:
        assert error.message


@FUZZ
@given(TEXTS, st.dictionaries(st.sampled_from(["a", "b"]), TEXTS, max_size=2))
@example("${a:-" * 5000, {})
@example("${a//" + "*" * 40 + "b/x}", {"a": "a" * 200})
@example("'" * 9999, {})
def test_a_word(text: str, env: dict[str, str]) -> None:
    for expand in (expand_word, expand_words):
        try:
            expand(text, env)
        except AirdockError as error:
            assert error.message


PATTERNS = st.lists(
    st.sampled_from(["*", "**", "?", "[", "]", "a", "b", "/", "!", "\\", ".", "..", "-", "^", "#", "\n", " ", "\0"]),
    max_size=20,
).map("".join)
PATHS = st.lists(st.sampled_from(["a", "b", "ab", ".", "-", "é"]), min_size=1, max_size=5).map("/".join)


@FUZZ
@given(PATTERNS | st.text(max_size=60), PATHS)
@example("**/" * 60 + "x", "a/" * 60 + "b")
@example("*a" * 30 + "c", "a" * 200)
def test_ignore_rules(text: str, path: str) -> None:
    try:
        assert IgnoreRules(parse_ignore_file(text)).ignores(path) in (True, False)
    except AirdockError as error:
        assert error.message
