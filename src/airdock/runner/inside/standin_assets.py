"""Airflow's classes of assets, for a function that runs away from its file and says what it made."""

__all__ = ["Asset", "AssetAlias", "Dataset", "Metadata"]


class Asset(object):
    """One piece of data, by name or URI."""

    def __init__(self, name=None, uri=None, group="asset", extra=None, **_):
        self.name = name if name is not None else uri
        self.uri = uri if uri is not None else name
        self.group = group
        self.extra = dict(extra or {})

    def __eq__(self, other):
        return isinstance(other, Asset) and (self.name, self.uri) == (other.name, other.uri)

    def __hash__(self):
        return hash((self.name, self.uri))

    def __repr__(self):
        return "Asset(name=%r, uri=%r)" % (self.name, self.uri)


class Dataset(Asset):
    """What Airflow 2 calls an asset."""

    def __init__(self, uri, extra=None):
        Asset.__init__(self, uri=uri, extra=extra)


class AssetAlias(object):
    """Stands for assets that a task names only while it runs."""

    def __init__(self, name, group="asset"):
        self.name = name
        self.group = group

    def __eq__(self, other):
        return isinstance(other, AssetAlias) and self.name == other.name

    def __hash__(self):
        return hash(("alias", self.name))


class Metadata(object):
    """What a task yields to put `extra` with the event of one of its outlets."""

    def __init__(self, asset, extra=None, alias=None):
        self.asset = asset
        self.extra = dict(extra or {})
        self.alias = alias
