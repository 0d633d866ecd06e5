"""What the steps of one build share, and what each of them needs of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airdock.builder.base import BuildRequest, RunStep
from airdock.builder.cache import BuildCache
from airdock.builder.cancel import Cancel
from airdock.builder.explain import Journal
from airdock.builder.ignore import IgnoreRules, load_ignore_file
from airdock.builder.known import Known
from airdock.builder.steps import Step
from airdock.builder.times import FIXED_TIME
from airdock.errors import (
    BuildError,
)
from airdock.images.calls import DirectCalls
from airdock.images.image import Image, Layer
from airdock.images.store import ImageStore
from airdock.model.progress import BuildOutput, Report
from airdock.oci.config import ImageConfig
from airdock.oci.digest import Digest
from airdock.oci.media_types import LAYER_COMPRESSION, to_oci
from airdock.record import record

__all__ = ["Built", "Performer"]


@record
class Built:
    """A stage as far as it is. `labels` are those of the image that it all began with."""

    layers: tuple[Layer, ...]
    config: ImageConfig
    labels: Mapping[str, str]

    @property
    def diff_ids(self) -> tuple[Digest, ...]:
        return tuple(layer.diff_id for layer in self.layers)


@dataclass(frozen=True, kw_only=True)
class Performer:
    """What the steps of one build share. `folder` is its working folder, `done` the finished stages: looking one up
    waits for it. `number` and `stage` are of the step that is to be done, and `fresh` keeps it out of the cache."""

    request: BuildRequest
    store: ImageStore
    run: RunStep
    report: Report
    cache: BuildCache
    known: Known
    folder: Path
    images: Mapping[str, Image]
    done: Mapping[int, Built]
    epoch: int | None
    cancel: Cancel
    number: int = 0
    stage: str = ""
    position: int = 0
    fresh: bool = False
    journal: Journal | None = None

    def where(self, step: Step) -> str:
        """The line of the Dockerfile that a step is."""
        return f"{self.request.name}:{step.line}"

    @property
    def time_s(self) -> int:
        """The time of what has none worth keeping."""
        return FIXED_TIME if self.epoch is None else self.epoch

    def load(self, key: str) -> Layer | None:
        """The layer that is known by a key, unless the step is to be done anew."""
        return self.known.load(key, fresh=self.fresh)

    def note(self, inputs: Mapping[str, Any], *, hit: bool) -> None:
        """Remember what went into the step, and say why it wasn't known where somebody wants to know."""
        if self.journal is None:
            return
        self.journal.note(self.stage, self.position, inputs, hit=hit)
        if self.request.explain and not hit:
            why = ["the cache is not to be asked"] if self.fresh else self.journal.reasons(self.stage, self.position)
            for reason in why:
                line = f"not cached: {reason}"
                self.report(BuildOutput(build=self.request.label, step=self.number, line=line))

    def call(self, function: str, arguments: Mapping[str, Any]) -> Any:
        """Call a function of `copying.py` as whoever may read and write the files of layers."""
        calls = self.store.calls
        if calls.mapping != "ranges":
            # The disk has the files as this very process may read them; a child would only cost its start, which is
            # most of a cached step.
            try:
                return DirectCalls().call(function, arguments)
            except PermissionError:
                pass  # a folder without permissions, which only root inside may enter
        return calls.call(function, arguments)

    def source(self, source: int | str) -> tuple[Layer, ...]:
        """The layers of a stage, which is waited for, or of an image."""
        return self.done[source].layers if isinstance(source, int) else self.images[source].layers

    def stack(self, layers: tuple[Layer, ...]) -> dict[str, Any]:
        """A stack of layers as `copying.py` takes it."""
        stage: dict[str, Any] = {"folders": [str(self.store.layer_path(layer.diff_id)) for layer in layers]}
        if self.store.calls.mapping == "one":
            stage |= {"blobs": [self._blob(layer) for layer in layers], "owners": str(self.cache.owners_folder)}
        return stage

    def _blob(self, layer: Layer) -> dict[str, str]:
        return {
            "path": str(self.store.blob_path(layer.descriptor.digest)),
            "compression": LAYER_COMPRESSION[to_oci(layer.descriptor.media_type)],
            "digest": layer.descriptor.digest,
            "diff_id": layer.diff_id,
        }

    def ignore_rules(self) -> IgnoreRules | None:
        """What the context leaves out; None where there is no context."""
        if self.request.context is None or not self.request.context.is_dir():
            return None
        where, patterns = load_ignore_file(self.request.name, self.request.context)
        return IgnoreRules(patterns, where=where)

    def context(self, *, needed_for: str = "") -> dict[str, Any]:
        """The context as `copying.py` takes it; raises `BuildError` where there is none for what is `needed_for`."""
        context = self.request.context
        if context is None:
            if needed_for:
                raise BuildError(f"expected a build context to copy {needed_for!r} from, found none")
            return {"context": str(self.folder / "empty"), "ignore": [], "where": ""}
        if not context.is_dir():
            raise BuildError(f"expected the build context {str(context)!r} to be a folder, found none")
        where, patterns = load_ignore_file(self.request.name, context)
        return {"context": str(context.resolve()), "ignore": patterns, "where": where}
