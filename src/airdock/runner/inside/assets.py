"""What a task says of the assets that it makes, and what it is told of those that it reads or that made it run."""

from .messages import Listed

__all__ = ["exhaust", "identity", "inlet_events", "outlet_events", "triggering_events"]


def outlet_events(context):
    """For each outlet of the task what is told with its success: `outlet_events[asset].extra`."""
    return _Outlets(context["outlets"])


def exhaust(function_result, context):
    """Take what a function yields: Metadata go with the events of its outlets. Gives what it returns."""
    while True:
        try:
            each = next(function_result)
        except StopIteration as end:
            return end.value
        if not hasattr(each, "asset"):
            import sys

            sys.stderr.write("ignored what the function yields: %r isn't Metadata\n" % (each,))
            continue
        extra = dict(getattr(each, "extra", None) or {})
        alias = getattr(each, "alias", None)
        if alias:
            context["outlet_events"][alias].add(each.asset, extra)
        else:
            context["outlet_events"][each.asset].extra.update(extra)


def inlet_events(context):
    """The events of each inlet, the oldest first: `inlet_events[asset]`, read when they are looked at."""
    return _Inlets(context)


def triggering_events(context):
    """The events that made the run, for each asset and alias: the asset, its name or its URI finds them."""
    found = _ByAsset()
    for each in context["dag_run"].consumed_asset_events:
        event = Event(each, context._make_time)
        found.setdefault(Key(*identity(each)), []).append(event)
        if each.get("alias"):
            found.setdefault(Key(each["alias"], ""), []).append(event)
    return found


class Key(tuple):
    """Name and URI of an asset."""

    def __new__(cls, name, uri):
        return tuple.__new__(cls, (name, uri))

    name = property(lambda self: self[0])
    uri = property(lambda self: self[1])

    def __repr__(self):
        return "AssetUniqueKey(name=%r, uri=%r)" % self


class Source(object):
    """The run, or the task instance, that an event comes from."""

    def __init__(self, event):
        self.dag_id = event.source_dag_id
        self.run_id = event.source_run_id
        self.task_id = event.source_task_id
        self.map_index = event.source_map_index


class Event(object):
    """One event of an asset."""

    def __init__(self, fields, make_time):
        self.name = fields.get("name")
        self.uri = fields.get("uri")
        self.extra = dict(fields.get("extra") or {})
        self.timestamp = make_time(fields.get("timestamp"))
        self.source_dag_id = fields.get("source_dag_id")
        self.source_run_id = fields.get("source_run_id")
        self.source_task_id = fields.get("source_task_id")
        self.source_map_index = fields.get("source_map_index", -1)

    @property
    def asset(self):
        return self

    @property
    def source_dag_run(self):
        return Source(self) if self.source_run_id else None

    source_task_instance = source_dag_run

    def __repr__(self):
        return "<AssetEvent %s>" % (self.name or self.uri)


class Events(Listed):
    """The events of one asset or alias; `after`, `before`, `ascending` and `limit` choose among them."""

    def __init__(self, context, fields):
        self._context = context
        self._fields = fields
        self._found = None

    def after(self, moment):
        return self._narrowed(after=_text_of(moment))

    def before(self, moment):
        return self._narrowed(before=_text_of(moment))

    def ascending(self, is_ascending=True):
        return self._narrowed(ascending=is_ascending)

    def limit(self, most):
        return self._narrowed(limit=most)

    def _narrowed(self, **fields):
        return Events(self._context, dict(self._fields, **fields))

    def _all(self):
        if self._found is None:
            make_time = self._context._make_time
            self._found = [
                Event(each, make_time) for each in self._context.instance.ask("asset_events", **self._fields)
            ]
        return self._found

    def __len__(self):
        return len(self._all())

    def __iter__(self):
        return iter(self._all())

    def __getitem__(self, index):
        return self._all()[index]

    def __repr__(self):
        return repr(self._all())


class _Inlets(object):
    def __init__(self, context):
        self._context = context
        self._inlets = context["inlets"]

    def __getitem__(self, asset):
        if isinstance(asset, int):
            asset = self._inlets[asset]
        name, uri = identity(asset)
        if _is_alias(asset):
            return Events(self._context, {"alias": name})
        if isinstance(asset, str):
            name, uri = next((identity(each) for each in self._inlets if asset in identity(each)), (asset, ""))
        return Events(self._context, {"name": name, "uri": uri})

    def __iter__(self):
        return iter(self._inlets)

    def __len__(self):
        return len(self._inlets)

    def for_asset(self, name="", uri=""):
        return Events(self._context, {"name": name, "uri": uri})

    def for_asset_alias(self, name):
        return Events(self._context, {"alias": name})


def _text_of(moment):
    return moment if isinstance(moment, str) else moment.isoformat()


class _ByAsset(dict):
    def __missing__(self, asset):
        wanted = identity(asset)
        for known, value in self.items():
            if wanted and any(part and part in known for part in wanted):
                return value
        raise KeyError(asset)

    def get(self, asset, default=None):
        try:
            return self[asset]
        except KeyError:
            return default


class _Outlets(object):
    def __init__(self, outlets):
        self._made = {identity(each): _Outlet(each) for each in outlets}

    def __getitem__(self, asset):
        wanted = identity(asset)
        for known, made in self._made.items():
            if any(part and part in known for part in wanted):
                return made
        self._made[wanted] = made = _Outlet(asset)
        return made

    def __iter__(self):
        return (made.asset for made in self._made.values())

    def __len__(self):
        return len(self._made)

    def events(self):
        """What the task did, as its ending tells it."""
        return [event for made in self._made.values() for event in made.events()]


class _Outlet(object):
    """`extra` goes with the event of an asset; `add` says which assets an alias stands for."""

    def __init__(self, asset):
        self.asset = asset
        self.extra = {}
        self.asset_alias_events = []

    def add(self, asset, extra=None):
        name, uri = identity(asset)
        self.asset_alias_events.append({"name": name or uri, "uri": uri, "extra": dict(extra or {})})

    def add_partitions(self, *partitions, **_):
        raise NotImplementedError("partitions of assets aren't there yet; the event can have them in its extra")

    def events(self):
        if _is_alias(self.asset):
            alias = identity(self.asset)[0]
            return [dict(event, alias=alias) for event in self.asset_alias_events]
        name, uri = identity(self.asset)
        return [{"name": name or uri, "uri": uri, "extra": self.extra}]


def _is_alias(asset):
    if isinstance(asset, dict):
        return "alias" in asset
    return any(kind.__name__ in ("AssetAlias", "DatasetAlias") for kind in type(asset).__mro__)


def identity(asset):
    """Name and URI, as far as they are known."""
    if isinstance(asset, str):
        return (asset, asset)
    if isinstance(asset, dict):
        inner = asset.get("asset", asset)
        return (inner.get("name") or inner.get("alias") or "", inner.get("uri") or "")
    if isinstance(asset, tuple):
        return asset
    return (getattr(asset, "name", None) or "", getattr(asset, "uri", None) or "")
