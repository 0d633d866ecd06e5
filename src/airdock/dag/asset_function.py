"""`@asset`: a function that makes an asset, and with it the DAG whose one task calls it."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from airdock.dag.assets import Asset, AssetNameRef, find_asset
from airdock.dag.dag import DAG, DAG_DEFAULTS
from airdock.dag.function import FunctionOperator
from airdock.dag.names import calling_place, check_keywords
from airdock.errors import DagError

__all__ = ["AssetDefinition", "AssetOperator", "MultiAsset", "asset"]

_GIVEN: Final = ("self", "context")
_OF_CONTEXT: Final = ("dag_run", "inlet_events", "outlet_events", "task_instance", "ti", "triggering_asset_events")
"""Names that are never those of assets."""


class AssetOperator(FunctionOperator):
    """Calls the function of an `@asset`: arguments are assets by their names, but for `self` and the context's."""

    operator_kind = "@asset"

    def __init__(self, *, definition: Any = None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.definition = definition

    def execute(self, context: Any) -> Any:
        import inspect  # only a task that runs needs it

        given: dict[str, Any] = {}
        for name, parameter in inspect.signature(self.python_callable).parameters.items():
            if parameter.default is not parameter.empty:
                given[name] = parameter.default
            elif name in _GIVEN:
                given[name] = self.definition if name == "self" else context
            else:
                given[name] = context[name] if name in _OF_CONTEXT else find_asset(name)
        return self.python_callable(**given)


class AssetDefinition(Asset):
    """An asset with the function that makes it."""

    def __init__(self, function: Callable[..., Any], asset: Mapping[str, Any], dag: Mapping[str, Any]) -> None:
        given = {name: value for name, value in asset.items() if value is not None}
        super().__init__(**{"name": function.__name__, **given})
        self.function = function
        _make_dag(function, dag, self, [self])


class MultiAsset:
    """A function that makes several assets."""

    def __init__(self, function: Callable[..., Any], outlets: list[Any], dag: Mapping[str, Any]) -> None:
        self.function = function
        self.outlets = outlets
        _make_dag(function, dag, self, outlets)


class _Decorator:
    """`@asset(schedule=…)` and `@asset.multi(schedule=…, outlets=[…])`."""

    def __call__(self, *, schedule: Any, **arguments: Any) -> Callable[[Callable[..., Any]], AssetDefinition]:
        own = {
            name: arguments.pop(name, None) for name in ("name", "uri", "group", "extra", "watchers", "access_control")
        }
        dag = _dag_arguments(arguments, schedule)
        return lambda function: AssetDefinition(function, own, dag)

    def multi(self, *, schedule: Any, outlets: Any, **arguments: Any) -> Callable[[Callable[..., Any]], MultiAsset]:
        """The function makes all of `outlets`."""
        if not outlets:
            raise DagError("expected @asset.multi to have outlets", where=calling_place())
        dag = _dag_arguments(arguments, schedule)
        return lambda function: MultiAsset(function, list(outlets), dag)


asset: Final = _Decorator()


def _dag_arguments(arguments: Mapping[str, Any], schedule: Any) -> dict[str, Any]:
    named = {"display_name": "dag_display_name"}
    given = {named.get(name, name): value for name, value in arguments.items()}
    check_keywords(given, [*DAG_DEFAULTS, "dag_id"], "@asset", calling_place())
    return {"schedule": schedule, **given}


def _make_dag(function: Callable[..., Any], arguments: Mapping[str, Any], definition: Any, outlets: list[Any]) -> None:
    import inspect  # costs more than the rest of the module; a file without @asset needn't pay

    where = f"{function.__code__.co_filename}:{function.__code__.co_firstlineno}"
    parameters = inspect.signature(function).parameters.values()
    taken = [each.name for each in parameters if each.default is each.empty]
    inlets = [AssetNameRef(name) for name in taken if name not in (*_GIVEN, *_OF_CONTEXT)]
    given = dict(arguments)
    dag_id = given.pop("dag_id", None) or function.__name__
    with DAG(dag_id, **{"doc_md": function.__doc__, **given}) as dag:
        dag.where, dag.fileloc = where, function.__code__.co_filename
        AssetOperator(
            task_id=function.__name__, python_callable=function, definition=definition, inlets=inlets, outlets=outlets
        )
