"""`@task.bash`: a function that says which Bash command is run."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from airdock.dag.operator import Work
from airdock.operators.bash import BashOperator

__all__ = ["BashTask"]


class BashTask(BashOperator):
    """Calls the function and runs what it returns."""

    operator_kind = "@task.bash"
    template_fields: Sequence[str] = ("templates_dict", "op_args", "op_kwargs", *BashOperator.template_fields)

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        op_args: Sequence[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        templates_dict: dict[str, Any] | None = None,
        task_id: str,
        **arguments: Any,
    ) -> None:
        super().__init__(bash_command="", task_id=task_id, **arguments)
        self.python_callable = python_callable
        self.op_args = list(op_args or ())
        self.op_kwargs = dict(op_kwargs or {})
        self.templates_dict = templates_dict

    def execute(self, context: Any) -> Any:
        from airdock.dag.templates import Templates

        if self.templates_dict is not None:
            context["templates_dict"] = self.templates_dict
        keywords = context.keywords_for(self.python_callable, self.op_args, self.op_kwargs)
        command = self.python_callable(*self.op_args, **keywords)
        if not isinstance(command, str) or not command.strip():
            raise TypeError(f"expected {self.python_callable.__name__}() to return a Bash command, found {command!r}")
        self.bash_command = Templates.of(self, context).render(command)
        return super().execute(context)

    def work(self) -> Work:
        if not self.runs_on_host:
            self.refuse_needs()  # the function has to run beside Airdock, and Bash with it
        return Work(mode="sdk", payload={})
