"""Data that tasks make and DAGs wait for: assets, their aliases, and conditions over them."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final

from airdock.dag.names import calling_place
from airdock.errors import DagError

__all__ = [
    "Asset",
    "AssetAccessControl",
    "AssetAlias",
    "AssetAll",
    "AssetAny",
    "AssetNameRef",
    "AssetUriRef",
    "AssetWatcher",
    "BaseAsset",
    "Dataset",
    "Metadata",
    "condition_of",
    "find_asset",
    "is_asset",
    "list_assets",
]

_LENGTH: Final = 1500
_known: dict[str, "Asset"] = {}
"""Those that were made in this process with a URI of their own, by name."""
_WIRE: Final = "airdock.runner.inside.wire"
"""How values travel between tasks and triggers. Beside this folder, so it is plugged in by name."""
_RESERVED: Final = "airflow"


class BaseAsset:
    """What a DAG can wait for: `a & b` for both, `a | b` for one of them."""

    def to_json(self) -> dict[str, Any]:
        """As `SerializedDag.asset_condition`."""
        raise NotImplementedError

    def members(self) -> "Iterator[BaseAsset]":
        """The assets and aliases that it is made of."""
        yield self

    def __and__(self, other: "BaseAsset") -> "AssetAll":
        return AssetAll(self, _checked(other, "&"))

    def __or__(self, other: "BaseAsset") -> "AssetAny":
        return AssetAny(self, _checked(other, "|"))


class Asset(BaseAsset):
    """One piece of data, by name or URI; whichever isn't given is as the other."""

    def __init__(
        self,
        name: str | None = None,
        uri: str | None = None,
        *,
        group: str = "asset",
        extra: Mapping[str, Any] | None = None,
        watchers: "Iterable[AssetWatcher]" = (),
        access_control: "AssetAccessControl | None" = None,
    ) -> None:
        self.where = calling_place()
        if name is None and uri is None:
            raise DagError("an asset needs a name or a uri", where=self.where)
        self.name = _check_text(name if name is not None else uri, "name")
        self.uri = _check_text(uri if uri is not None else name, "uri")
        self.group = group
        self.extra = dict(extra or {})
        self.watchers = list(watchers)
        self.access_control = access_control
        if uri is not None:
            _known[self.name] = self

    @staticmethod
    def ref(*, name: str | None = None, uri: str | None = None) -> "AssetNameRef | AssetUriRef":
        """An asset that is defined elsewhere, by its name or its URI."""
        if (name is None) == (uri is None):
            raise DagError("expected either name= or uri= of Asset.ref()", where=calling_place())
        return AssetNameRef(name) if name is not None else AssetUriRef(str(uri))

    @property
    def normalized_uri(self) -> str:
        return self.uri

    def to_json(self) -> dict[str, Any]:
        try:
            json.dumps(self.extra, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise DagError(
                f"expected the extra of asset {self.name!r} to be JSON: {error}", where=self.where
            ) from error
        watchers = {"watchers": [each.to_json() for each in self.watchers]} if self.watchers else {}
        return {
            "asset": {"name": self.name, "uri": self.uri, "group": self.group, "extra": self.extra, **watchers},
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Asset) and (self.name, self.uri) == (other.name, other.uri)

    def __hash__(self) -> int:
        return hash((self.name, self.uri))

    def __repr__(self) -> str:
        return f"Asset(name={self.name!r}, uri={self.uri!r})"


class Dataset(Asset):
    """What Airflow 2 calls an asset: it has a URI, and an extra."""

    def __init__(self, uri: str, extra: Mapping[str, Any] | None = None) -> None:
        super().__init__(uri=uri, extra=extra, group="dataset")


@dataclass(frozen=True)
class AssetNameRef(BaseAsset):
    """An asset that is defined elsewhere, by name."""

    name: str

    def to_json(self) -> dict[str, Any]:
        return {"asset": {"name": self.name, "uri": ""}}


@dataclass(frozen=True)
class AssetUriRef(BaseAsset):
    """An asset that is defined elsewhere, by URI."""

    uri: str

    def to_json(self) -> dict[str, Any]:
        return {"asset": {"name": "", "uri": self.uri}}


class AssetAlias(BaseAsset):
    """Stands for assets that a task names only while it runs."""

    def __init__(self, name: str, group: str = "asset") -> None:
        self.name = _check_text(name, "name")
        self.group = group

    def to_json(self) -> dict[str, Any]:
        return {"alias": self.name}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AssetAlias) and self.name == other.name

    def __hash__(self) -> int:
        return hash(("alias", self.name))

    def __repr__(self) -> str:
        return f"AssetAlias({self.name!r})"


class _Several(BaseAsset):
    word = ""

    def __init__(self, *objects: BaseAsset) -> None:
        self.objects = [_checked(each, type(self).__name__) for each in objects]

    def to_json(self) -> dict[str, Any]:
        return {self.word: [each.to_json() for each in self.objects]}

    def members(self) -> Iterator[BaseAsset]:
        return (member for each in self.objects for member in each.members())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.objects))})"


class AssetAll(_Several):
    """Every one of these has to be new."""

    word = "all"

    def __and__(self, other: BaseAsset) -> "AssetAll":
        return AssetAll(*self.objects, _checked(other, "&"))


class AssetAny(_Several):
    """One of these has to be new."""

    word = "any"

    def __or__(self, other: BaseAsset) -> "AssetAny":
        return AssetAny(*self.objects, _checked(other, "|"))


class AssetWatcher:
    """A trigger whose events are events of the asset."""

    def __init__(self, name: str, trigger: Any) -> None:
        self.name = name
        self.trigger = trigger

    def to_json(self) -> dict[str, Any]:
        """The name, and class and arguments of the trigger, these as deferred tasks hand them over."""
        classpath, kwargs = self.trigger.serialize()
        try:
            packed = import_module(_WIRE).pack(kwargs, f"kwargs of the trigger of watcher {self.name!r}")
        except Exception as error:  # the trigger is anybody's
            raise DagError(str(error), where=calling_place()) from error
        return {"name": self.name, "classpath": classpath, "kwargs": packed}


@dataclass(frozen=True)
class AssetAccessControl:
    """Which teams' tasks may make the asset; kept, and without effect where there are no teams."""

    producer_teams: list[str] = field(default_factory=list)
    consumer_teams: list[str] = field(default_factory=list)
    allow_global: bool = True


@dataclass(frozen=True)
class Metadata:
    """What a task yields to put `extra` with the event of one of its outlets; `alias` names the one it is for."""

    asset: Asset
    extra: dict[str, Any] = field(default_factory=dict)
    alias: AssetAlias | None = None


def find_asset(name: str) -> Asset:
    """The asset of that name, as a file that was imported defines it, or one that has no more than the name."""
    return _known.get(name) or Asset(name)


def is_asset(schedule: Any) -> bool:
    """Whether a schedule waits for assets: one, a list of them, or a condition."""
    if isinstance(schedule, BaseAsset):
        return True
    is_several = isinstance(schedule, list | tuple | set) and bool(schedule)
    return is_several and all(isinstance(each, BaseAsset) for each in schedule)


def condition_of(schedule: Any) -> dict[str, Any]:
    """As `SerializedDag.asset_condition`; of a list all have to be new."""
    return schedule.to_json() if isinstance(schedule, BaseAsset) else AssetAll(*schedule).to_json()


def list_assets(given: Any, name: str, where: str) -> tuple[dict[str, Any], ...]:
    """A task's inlets or outlets as JSON. DagError for what is no asset."""
    values = given if isinstance(given, list | tuple | set) else [] if given is None else [given]
    for each in values:
        if not isinstance(each, BaseAsset):
            raise DagError(f"expected {name} to be assets, found {type(each).__name__} {each!r}", where=where)
    return tuple(member.to_json() for each in values for member in each.members())


def _checked(value: Any, what: str) -> BaseAsset:
    if not isinstance(value, BaseAsset):
        raise DagError(
            f"expected an asset beside {what}, found {type(value).__name__} {value!r}", where=calling_place()
        )
    return value


def _check_text(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > _LENGTH:
        raise DagError(f"expected the {name} of an asset to be a text of 1 to {_LENGTH} characters, found {value!r}",
                       where=calling_place())  # fmt: skip
    if not value.isascii():
        raise DagError(f"expected the {name} of an asset to be ASCII, found {value!r}", where=calling_place())
    if value.partition("://")[0] == _RESERVED:
        raise DagError(f"addresses that begin with {_RESERVED}:// are reserved, found {value!r}", where=calling_place())
    return value
