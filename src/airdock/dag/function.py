"""A task that calls a Python function, on the host image or in any other."""

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Unpack, get_type_hints

from airdock.dag.arguments import TaskArguments
from airdock.dag.operator import BaseOperator, Work
from airdock.errors import DagError

if TYPE_CHECKING:
    from airdock.dag.dag import DAG
    from airdock.dag.mapping import MappedOperator

__all__ = ["FunctionOperator", "infers_multiple_outputs"]


class FunctionOperator(BaseOperator):
    """Calls `python_callable(*op_args, **op_kwargs)` and the keys of the context that it names.

    On the host image the DAG file is imported and the function called. Everywhere else its source travels: see
    `portable`; templates are rendered before that, see `first_step`. `templates_dict` is rendered and given to it as
    `templates_dict`; `templates_exts` are endings of file names among the templates whose files are read instead. What
    it returns is printed only by subclasses that say so; `show_return_value_in_logs` is kept for them.
    """

    template_fields: Sequence[str] = ("templates_dict", "op_args", "op_kwargs")

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        op_args: Sequence[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        templates_dict: dict[str, Any] | None = None,
        templates_exts: Sequence[str] | None = None,
        show_return_value_in_logs: bool = True,
        task_id: str,
        dag: "DAG | None" = None,
        **arguments: Unpack[TaskArguments],
    ) -> None:
        super().__init__(task_id=task_id, dag=dag, **arguments)
        if not callable(python_callable):
            raise DagError(
                f"expected python_callable to be a function, found {type(python_callable).__name__}",
                where=f"{self.where} (task {task_id!r})",
                hint="give the function itself, without calling it",
            )
        self.python_callable = python_callable
        self.op_args = list(op_args or ())
        self.op_kwargs = dict(op_kwargs or {})
        self.templates_dict = templates_dict
        self.template_ext = tuple(templates_exts or ())
        self.show_return_value_in_logs = show_return_value_in_logs

    def execute(self, context: Any) -> Any:
        if self.templates_dict is not None:
            context["templates_dict"] = self.templates_dict
        keywords = context.keywords_for(self.python_callable, self.op_args, self.op_kwargs)
        return self.python_callable(*self.op_args, **keywords)

    def work(self) -> Work:
        if self.runs_on_host:
            return super().work()
        if not self.is_plain:
            self.refuse_needs()
        from airdock.dag.bare import make_payload  # only a DAG that is serialised needs it

        return Work(mode="bare", payload=make_payload(self, self.op_args, self.op_kwargs))

    @classmethod
    def mapped_work(cls, mapped: "MappedOperator") -> Work:
        if mapped.settings.runs_on_host:
            return super().mapped_work(mapped)
        from airdock.dag.bare import make_mapped_payload  # only a DAG that is serialised needs it

        return Work(mode="bare", payload=make_mapped_payload(mapped))


def infers_multiple_outputs(function: Callable[..., Any]) -> bool:
    """Whether the function says that it returns a mapping, each key of which is then an XCom of its own."""
    annotation = getattr(function, "__annotations__", {}).get("return")
    if annotation is None:
        return False
    said = SimpleNamespace(__annotations__={"return": annotation})
    try:
        found = get_type_hints(said, getattr(function, "__globals__", {}))["return"]
    except (NameError, TypeError, AttributeError, SyntaxError):  # a name that only checkers of types see
        return False
    kind = getattr(found, "__origin__", found)
    return isinstance(kind, type) and issubclass(kind, Mapping)
