import pytest

from airdock.environments.requirements import normalise
from airdock.errors import EnvironmentFailedError


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["pandas"], ("pandas",)),
        (["Pandas >= 2.2 , < 3  # the new one", "", "# nothing", "pandas>=2.2,<3"], ("pandas>=2.2,<3",)),
        (["b", "a"], ("a", "b")),
        (["Foo_Bar.baz[ x, y ] == 1"], ("foo-bar-baz[x,y]==1",)),
        (["numpy<2;python_version<'3.9'"], ("numpy<2 ; python_version<'3.9'",)),
        (["x @ https://e.example/x.whl#sha256=0"], ("x @ https://e.example/x.whl#sha256=0",)),
        (["x @ git+https://e.example/x@main ; sys_platform == 'linux'"],
         ("x @ git+https://e.example/x@main ; sys_platform == 'linux'",)),
    ],
)  # fmt: skip
def test_equal_requirements_are_written_alike(lines: list[str], expected: tuple[str, ...]) -> None:
    assert normalise(lines) == expected


@pytest.mark.parametrize(
    "line", ["-r other.txt", "--index-url https://x", "-e .", "./local", "/abs", "x @ file:///x", "=="]
)
def test_what_cannot_be_taken_along(line: str) -> None:
    with pytest.raises(EnvironmentFailedError, match="expected a requirement such as"):
        normalise([line])
