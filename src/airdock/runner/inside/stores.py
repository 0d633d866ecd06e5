"""What a task keeps between its tries, and what is kept with an asset: small values by name."""

from . import values
from .assets import identity

__all__ = ["AssetStates", "States", "task_states"]


def task_states(context):
    """What this task instance keeps: it outlives a try, and ends with its run."""
    return States(context.instance, {})


class States(object):
    """Values by name; they have to be JSON. The methods with `a` before their names are for coroutines."""

    def __init__(self, instance, scope):
        self._instance = instance
        self._scope = scope

    def get(self, key, default=None):
        """The value, or `default` where none was set, or where its time is over."""
        found = self._ask("state_get", key=str(key))
        return default if found is None else found["value"]

    def set(self, key, value, retention=None):
        """Keep a value; with `retention` (a timedelta) for that long only."""
        values.check(value, "value", "what task %r keeps as %r" % (self._instance.task_id, key))
        seconds = None if retention is None else retention.total_seconds()
        self._ask("state_set", key=str(key), value=value, keep_s=seconds)

    def delete(self, key):
        """Forget a value; nothing happens where there is none."""
        self._ask("state_delete", key=str(key))

    def clear(self, **_):
        """Forget all values of this task instance, or of this asset."""
        self._ask("state_delete", key=None)

    async def aget(self, key, default=None):
        return self.get(key, default)

    async def aset(self, key, value, retention=None):
        self.set(key, value, retention)

    async def adelete(self, key):
        self.delete(key)

    async def aclear(self, **options):
        self.clear(**options)

    def _ask(self, op, **fields):
        return self._instance.ask(op, **dict(self._scope, **fields))


class AssetStates(object):
    """`asset_state_store[asset]` is what is kept with that asset, whichever task of whichever run asks."""

    def __init__(self, context):
        self._instance = context["ti"]
        self._own = [*context["inlets"], *context["outlets"]]

    def __getitem__(self, asset):
        name, uri = identity(asset)
        for each in self._own:  # a name or a URI alone is one of the task's own assets
            if isinstance(asset, str) and asset in identity(each):
                name, uri = identity(each)
        return States(self._instance, {"asset": {"name": name or uri, "uri": uri or name}})

    def __contains__(self, asset):
        wanted = identity(asset)
        return any(part and part in identity(each) for each in self._own for part in wanted)

    def __iter__(self):
        return iter(self._own)

    def __len__(self):
        return len(self._own)

    def for_asset(self, name="", uri=""):
        return self[(name, uri)]

    def __getattr__(self, name):
        """Of the one asset that the task has."""
        if name.startswith("__"):
            raise AttributeError(name)
        if len(self._own) != 1:
            raise AttributeError("expected the task to have one asset for %s(), it has %d" % (name, len(self._own)))
        return getattr(self[self._own[0]], name)
