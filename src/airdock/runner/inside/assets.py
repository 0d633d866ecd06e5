"""What a task says of the assets that it makes, and what it is told of those that made it run."""

__all__ = ["outlet_events", "triggering_events"]


def outlet_events(context):
    """For each outlet of the task what is told with its success: `outlet_events[asset].extra`."""
    return _Outlets(context["outlets"])


def triggering_events(context):
    """The events that made the run, for each asset: the asset, its name or its URI finds them."""
    found = _ByAsset()
    for each in context["dag_run"].consumed_asset_events:
        found.setdefault(_identity(each), []).append(Event(each, context._make_time))
    return found


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

    def __repr__(self):
        return "<AssetEvent %s>" % (self.name or self.uri)


class _ByAsset(dict):
    def __missing__(self, asset):
        wanted = _identity(asset)
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
        self._made = {_identity(each): _Outlet(each) for each in outlets}

    def __getitem__(self, asset):
        identity = _identity(asset)
        for known, made in self._made.items():
            if any(part and part in known for part in identity):
                return made
        self._made[identity] = made = _Outlet(asset)
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
        name, uri = _identity(asset)
        self.asset_alias_events.append({"name": name or uri, "uri": uri, "extra": dict(extra or {})})

    def events(self):
        if _is_alias(self.asset):
            alias = _identity(self.asset)[0]
            return [dict(event, alias=alias) for event in self.asset_alias_events]
        name, uri = _identity(self.asset)
        return [{"name": name or uri, "uri": uri, "extra": self.extra}]


def _is_alias(asset):
    if isinstance(asset, dict):
        return "alias" in asset
    return any(kind.__name__ in ("AssetAlias", "DatasetAlias") for kind in type(asset).__mro__)


def _identity(asset):
    """Name and URI, as far as they are known."""
    if isinstance(asset, str):
        return (asset, asset)
    if isinstance(asset, dict):
        inner = asset.get("asset", asset)
        return (inner.get("name") or inner.get("alias") or "", inner.get("uri") or "")
    if isinstance(asset, tuple):
        return asset
    return (getattr(asset, "name", None) or "", getattr(asset, "uri", None) or "")
