"""Calls what an author wants to be called where a run hasn't ended by its deadline, as Airflow does."""

from importlib import import_module

from . import wire
from .context import parameters
from .times import parse_time

__all__ = ["call"]


def call(asked):
    """Call the function, or make an object of the class and call or await it; whatever it raises comes through.

    The context goes along where it is taken by its name. `asked` is what `runner.callbacks` says of a deadline.
    """
    context = dict(asked["context"])
    context["deadline"] = dict(context["deadline"], deadline_time=parse_time(context["deadline"]["deadline_time"]))
    kwargs = wire.unpack(asked["kwargs"])
    module, _, name = asked["path"].rpartition(".")
    target = getattr(import_module(module), name)
    found = _call(target, kwargs, context)
    if asked["kind"] == "sync" and callable(found):
        found = _call(found, {}, context) if parameters(found) != ([], False) else found(context)
    if asked["kind"] == "async" or hasattr(found, "cr_await"):
        _wait(found)


def _call(target, kwargs, context):
    names, takes_all = parameters(target)
    return target(**dict(kwargs, context=context)) if takes_all or "context" in names else target(**kwargs)


def _wait(found):
    import asyncio

    async def wait():
        return await found

    asyncio.run(wait())
