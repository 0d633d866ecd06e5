"""Functions that leave their file: what comes along, what can't, and that the lines stay true."""

import importlib.util
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from airdock.dag.portable import STAND_IN, Portable, extract
from airdock.errors import NotPortableError

Take = Callable[..., Portable]


@pytest.fixture
def module(tmp_path: Path) -> Iterator[Callable[[str], ModuleType]]:
    names: list[str] = []

    def make(text: str) -> ModuleType:
        name = f"portable_case_{len(names)}_{tmp_path.name}"
        path = tmp_path / f"case_{len(names)}.py"
        path.write_text(textwrap.dedent(text))
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        made = importlib.util.module_from_spec(spec)
        sys.modules[name] = made
        names.append(name)
        spec.loader.exec_module(made)
        return made

    yield make
    for name in names:
        del sys.modules[name]


@pytest.fixture
def take(module: Callable[[str], ModuleType]) -> Take:
    """Extract the function `work` of a file with this text."""

    def extract_work(text: str, *, only_packages: bool = False) -> Portable:
        work = module(text).work
        return extract(getattr(work, "function", work), task_id="t", where="file:1", only_packages=only_packages)

    return extract_work


def run(portable: Portable, *args: Any) -> Any:
    """Call the function as the runner does, in a module of its own."""
    import __future__

    code = compile(portable.source, portable.file, "exec", __future__.annotations.compiler_flag, dont_inherit=True)
    alone = sys.modules["alone"] = ModuleType("alone")
    try:
        exec(code, alone.__dict__)
        return getattr(alone, portable.function)(*args)
    finally:
        del sys.modules["alone"]


def test_what_a_function_names_comes_along_through_others(take: Take) -> None:
    portable = take("""
        import json
        import os, sys as system
        from math import (
            floor,
            pi,
        )

        LIMIT: "int" = 3
        A, B = 1, 2
        UNUSED = open(__file__).close()

        class Base:
            factor = LIMIT

        class Thing(Base):
            def value(self, x):
                return helper(x) * self.factor

        def helper(x):
            return floor(pi) + x + A + B

        def work(x):
            return json.dumps([Thing().value(x), system.version_info[0]])
    """)
    assert run(portable, 1) == "[21, 3]"
    assert "UNUSED" not in portable.source
    assert "import os" not in portable.source


def test_lines_are_those_of_the_file(take: Take, tmp_path: Path) -> None:
    text = """
        from airdock.sdk import DAG, task

        with DAG("d"):
            @task(
                retries=1,
            )
            def work():
                text = '''
            kept as it is'''
                raise ValueError(text)
    """
    portable = take(text)
    with pytest.raises(ValueError, match="\n    kept as it is") as caught:
        run(portable)
    trace = caught.value.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    assert trace is not None
    assert trace.tb_lineno == 11
    assert portable.file == str(tmp_path / "case_0.py")


def test_decorators_of_airdock_stay_behind_and_others_travel(take: Take) -> None:
    portable = take("""
        import functools
        from airdock.sdk import task
        import airdock.sdk as sdk

        def twice(function):
            @functools.wraps(function)
            def inner():
                return function() * 2
            return inner

        @functools.lru_cache
        def three():
            return 3

        @sdk.task
        def other():
            return three()

        @task(retries=1)
        @twice
        def work():
            return other() + 1
    """)
    assert run(portable) == 8
    assert "airdock" not in portable.source


def test_annotations_drag_along_only_what_dataclasses_look_up(take: Take) -> None:
    portable = take("""
        import dataclasses
        from typing import TYPE_CHECKING, ClassVar
        if TYPE_CHECKING:
            from pandas import DataFrame
        import decimal

        @dataclasses.dataclass
        class Row:
            size: decimal.Decimal
            frame: "DataFrame" = None
            kind: ClassVar[list] = []
            name: str = "n"

        def work(x: decimal.Decimal, *rest: "DataFrame") -> decimal.Decimal:
            y: decimal.Decimal = x
            return [Row(y).name, Row.kind, len(dataclasses.fields(Row))]
    """)
    assert run(portable, 1) == ["n", [], 3]
    assert "pandas" not in portable.source


def test_plain_values_and_guarded_imports_travel(take: Take) -> None:
    portable = take("""
        import re
        import sys
        from datetime import timedelta
        from pathlib import Path
        try:
            import tomllib as toml
        except ImportError:
            toml = None
        if sys.version_info >= (3, 8):
            NEW = True
        else:
            NEW = False
        BASE = "/workspace"; FILE = f"{BASE}/data.csv"
        FOLDER = Path(BASE) / "x"
        WORD = re.compile(r"\\w+", re.I)
        DAYS = [timedelta(days=n) for n in range(3)]
        KEY = lambda pair: pair[1]

        def work():
            return [FILE, str(FOLDER), WORD.match("ab c").group(), len(DAYS), NEW, KEY((1, 2)), toml is None]
    """)
    assert run(portable) == ["/workspace/data.csv", "/workspace/x", "ab", 3, True, 2, False]


def test_recursion_and_nested_functions_are_no_trouble(take: Take) -> None:
    portable = take("""
        def work(n):
            def inner(k):
                return [x for x in range(k)]
            return 1 if n == 0 else len(inner(n)) * work(n - 1)
    """)
    assert run(portable, 4) == 24


def test_a_function_of_a_dag_function_travels(take: Take) -> None:
    portable = take("""
        from airdock.sdk import dag, task
        made = []

        @dag
        def pipeline():
            @task(requirements=["x"])
            def inner(a, b=2):
                return a + b
            made.append(inner)

        pipeline()
        work = made[0]
    """)
    assert run(portable, 1) == 3


def test_the_context_travels_through_the_stand_in(take: Take) -> None:
    portable = take("""
        from airdock.sdk import DAG, get_current_context, task

        def work():
            from airflow.sdk.exceptions import AirflowSkipException
            return get_current_context()["ds"]
    """)
    assert portable.source.strip().startswith("from airdock.sdk import get_current_context\n")


REFUSED: dict[str, tuple[str, int, str, str]] = {
    "a call at import": (
        "import os\nX = os.environ.get('A')\ndef work():\n    return X\n",
        4, r"names 'X', computed in line 2 \(`os\.environ\.get", "make X a literal",
    ),
    "a call of the file's own": (
        "def make():\n    return 1\nX = make()\ndef work():\n    return 1 + X\n", 5, "computed in line 3", "argument",
    ),
    "the DAG": (
        "from airdock.sdk import DAG\nwith DAG('d') as g:\n    pass\ndef work():\n    return g\n",
        5, "names 'g', which is made in line 2", "as an argument",
    ),
    "a loop's variable": (
        "for X in (1, 2):\n    pass\ndef work():\n    return X\n", 4, "which is made in line 1", "as an argument",
    ),
    "a list that grows": (
        "X = []\nX.append(1)\ndef work():\n    return X\n", 4, "which the file changes after line 1", "last value",
    ),
    "a star": (
        "from math import *\ndef work():\n    return sin(0)\n", 3, r"comes from an `import \*`", "import sin by its",
    ),
    "the file itself": ("def work():\n    return __file__\n", 2, "names '__file__', which tells", "as an argument"),
    "nothing at all": ("def work():\n    return unheard\n", 2, "'unheard', which its file doesn't", "define or import"),
    "what writes DAGs": (
        "from airdock.sdk import task\ndef work():\n    return task\n",
        3, r"airdock\.sdk has only while a DAG file is loaded", "get_current_context",
    ),
    "what writes DAGs, inside": (
        "def work():\n    from airdock.sdk import DAG\n", 2, r"names 'DAG', which airdock\.sdk has", "inside of a task",
    ),
    "a closure": (
        "def outer():\n    x = 1\n    def work():\n        return x\n    return work\nwork = outer()\n",
        3, "names 'x', a variable of the function around it", "top of the file",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("body", "line", "message", "hint"), REFUSED.values(), ids=REFUSED.keys())
def test_what_can_not_travel_is_named(
    take: Take, tmp_path: Path, body: str, line: int, message: str, hint: str
) -> None:
    with pytest.raises(NotPortableError, match=message) as caught:
        take(body)
    assert "task 't': the function 'work' can't run in an image of its own" in caught.value.message
    assert caught.value.where == f"{tmp_path / 'case_0.py'}:{line}"
    assert hint in caught.value.hint


def test_modules_beside_the_file_are_missed_only_where_nothing_could_have_copied_them(
    take: Take, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "near_by_module.py").write_text("X = 1\n")
    text = "from near_by_module import X\ndef work():\n    return X\n"
    assert "near_by_module" in take(text).source
    with pytest.raises(NotPortableError, match="which is in near_by_module, beside the DAG file"):
        take(text, only_packages=True)
    with pytest.raises(NotPortableError, match="beside the DAG file"):
        take("def work():\n    import near_by_module\n", only_packages=True)
    sys.modules.pop("near_by_module", None)


def test_only_functions_written_with_def_travel(take: Take) -> None:
    for body, message in [
        ("work = lambda: 1\n", "it is a lambda"),
        ("import functools\nwork = functools.partial(print)\n", "it is a partial"),
        ("work = print\n", "it is a builtin_function_or_method"),
        ("exec('def work(): pass')\n", "its file can't be read"),
    ]:
        with pytest.raises(NotPortableError, match=message):
            take(body)


def test_the_stand_in_is_what_the_runner_has() -> None:
    from airdock.runner.inside import standin

    assert {*standin.NAMES, *standin.LATER} == STAND_IN


@pytest.mark.parametrize(
    "text",
    [
        "if False:\n    pass\nelif True:\n    def work(x):\n        return x + 1\n",
        "if False:\n    pass\nelse:\n    def work(x):\n        return x + 1\n",
        "try:\n    import nothing_like_this\nexcept ImportError:\n    def work(x):\n        return x + 1\n",
        "class Steps:\n    @staticmethod\n    def work(x):\n        return x + 1\nwork = Steps.work\n",
        "for _ in range(1):\n\tdef work(x):\n\t\treturn x + 1\n",
        "ONE = 1; TWO = 2; THREE = 3\ndef work(x): return x + THREE - TWO\n",
        "def work(x): return x + 1\n",
    ],
)
def test_where_a_function_stands_does_not_matter(take: Take, text: str) -> None:
    assert run(take(text), 1) == 2
