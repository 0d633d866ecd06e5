"""Names that a shell completes: images, containers, runs. A shell that waits is worse than one that knows less."""

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

from airdock.cli.session import Session

__all__ = [
    "complete_containers",
    "complete_dags",
    "complete_images",
    "complete_networks",
    "complete_runs",
    "complete_tasks",
    "complete_volumes",
]

_Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _completing(names: Callable[[Session], Iterable[str]]) -> _Complete:
    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        session = Session()
        session.home = ctx.find_root().params.get("home")
        try:
            found = sorted(set(names(session)))
        except Exception:
            # Whatever is wrong will be said when the command runs; here it would only spoil the prompt.
            return []
        return [CompletionItem(name) for name in found if name.startswith(incomplete)]

    return complete


def _images(session: Session) -> Iterable[str]:
    with session.app() as app:
        return [f"{row.repository}:{row.tag}" for row in app.images.list() if row.tag]


def _containers(session: Session) -> Iterable[str]:
    with session.app() as app:
        return [state.name or state.id[:12] for state in app.engine.containers.states()]


def _runs(session: Session) -> Iterable[str]:
    with session.app() as app:
        return [run.key.run_id for run in app.orchestrator.runs()]


def _dags(session: Session) -> Iterable[str]:
    with session.app() as app:
        return {run.key.dag_id for run in app.orchestrator.runs(limit=1000)}


def _networks(session: Session) -> Iterable[str]:
    with session.app() as app:
        return ["host", "none", "private", *(network.name for network in app.networks.list())]


def _volumes(session: Session) -> Iterable[str]:
    with session.app() as app:
        return [volume.name for volume in app.engine.volumes.list()]


complete_images = _completing(_images)
complete_containers = _completing(_containers)
complete_networks = _completing(_networks)
complete_runs = _completing(_runs)
complete_volumes = _completing(_volumes)
complete_dags = _completing(_dags)


def complete_tasks(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The tasks of the run that stands before them on the command line."""

    def tasks(session: Session) -> Iterable[str]:
        with session.app() as app:
            found = app.orchestrator.find_run(str(ctx.params["run_id"]))
            return [row.key.label for row in app.orchestrator.states(found.key)]

    return _completing(tasks)(ctx, param, incomplete)
