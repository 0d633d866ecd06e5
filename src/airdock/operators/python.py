"""A task that calls a Python function."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from airdock.dag.arguments import TaskArguments
from airdock.dag.context import get_current_context
from airdock.dag.function import FunctionOperator

if TYPE_CHECKING:
    from airdock.dag.dag import DAG

__all__ = ["PythonOperator", "get_current_context"]


class PythonOperator(FunctionOperator):
    """Calls `python_callable(*op_args, **op_kwargs)` and the keys of the context that it names.

    `templates_dict` is rendered and given to it as `templates_dict`. `templates_exts` are endings of file names among
    the templates whose files are read instead. `show_return_value_in_logs` prints what the function returned.
    """

    ui_color = "#ffefeb"

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
        super().__init__(
            python_callable=python_callable,
            op_args=op_args,
            op_kwargs=op_kwargs,
            templates_dict=templates_dict,
            templates_exts=templates_exts,
            show_return_value_in_logs=show_return_value_in_logs,
            task_id=task_id,
            dag=dag,
            **arguments,
        )

    def execute(self, context: Any) -> Any:
        value = super().execute(context)
        if self.show_return_value_in_logs:
            print(f"Done. Returned value was: {value}")  # noqa: T201  a task's prints are its log
        else:
            print("Done. Returned value not shown")  # noqa: T201  a task's prints are its log
        return value
