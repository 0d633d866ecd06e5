"""What makes containers, images and environments, wired together from settings.

Every part is made when it is first asked for, so that a command pays only for what it uses.
"""

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from airdock.clock import SystemClock
from airdock.config import Config
from airdock.errors import AirdockError

if TYPE_CHECKING:
    from airdock.engine import Engine
    from airdock.environments.base import Environments
    from airdock.environments.host import HostImage
    from airdock.environments.python import Pythons
    from airdock.images.image import Image
    from airdock.images.store import ImageStore
    from airdock.model.mount import Mount
    from airdock.model.progress import Progress, Report
    from airdock.networks.networks import Networks
    from airdock.reclaim import Reclaim
    from airdock.runner.base import Starter
    from airdock.runtime.launcher import Launcher
    from airdock.transfer import Transfers

__all__ = ["Parts"]


class Parts:
    """The parts for one home folder and its settings; a context manager that closes what was opened."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.clock = SystemClock()
        self._report: Report = _ignore

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_isolated(self) -> bool:
        return self.config.isolation.mode == "container"

    def open(self) -> None:
        """Start what is cheap to start only while this process has one thread: the launcher."""
        if self.is_isolated:
            self.launcher.start()

    def close(self) -> None:
        """Close what was made: leases of images, then the launcher with whatever it still runs."""
        made = vars(self)
        if "images" in made:
            if self.images.has_grown:
                self._trim()
            self.images.close()
        if "engine" in made:
            self.engine.close()
        if "networks" in made:
            self.networks.close()
        if "transfers" in made:
            self.transfers.close()
        if "launcher" in made:
            self.launcher.stop()
            self.launcher.join()

    def _trim(self) -> None:
        """Hold the caps on images and cached steps. That it fails mustn't spoil what was asked for."""
        try:
            self.reclaim.trim()
        except AirdockError as error:
            import logging  # costs every command more than a millisecond

            logging.getLogger(__name__).warning("caches could not be trimmed: %s", error.message)

    # containers

    @cached_property
    def launcher(self) -> "Launcher":
        from airdock.runtime.launcher import Launcher

        return Launcher(folder=self.config.home / "run", userns=self.config.isolation.userns)

    @cached_property
    def images(self) -> "ImageStore":
        from airdock.images.calls import LateCalls
        from airdock.images.store import ImageStore

        return ImageStore(
            root=self.config.home / "images",
            calls=LateCalls(lambda: self.launcher),
            compression=self.config.images.compression,
        )

    @cached_property
    def engine(self) -> "Engine":
        from airdock.engine import Engine

        return Engine(
            images=lambda: self.images,
            launcher=lambda: self.launcher,
            containers=self.config.home / "run" / "containers",
            cache=self.config.home / "cache" / "build",
            clock=self.clock,
            builtin=self._make_builtin,
            trusts=lambda label: self.host.made(label),
            networks=lambda: self.networks,
            transfers=lambda: self.transfers,
            pull=self.config.registries.pull,
            runtime=self.config.isolation.runtime,
        )

    @cached_property
    def transfers(self) -> "Transfers":
        from airdock.engine import HOST_LABEL
        from airdock.remote.client import Remote
        from airdock.remote.credentials import DockerCredentials
        from airdock.surroundings import find_login_files, make_remote_settings
        from airdock.transfer import Transfers

        credentials = DockerCredentials(find_login_files(os.environ))
        return Transfers(
            images=self.images,
            remote=Remote(settings=make_remote_settings(self.config.registries, os.environ), credentials=credentials),
            credentials=credentials,
            cache=self.config.home / "cache",
            bound=HOST_LABEL,
        )

    @cached_property
    def networks(self) -> "Networks":
        from airdock.networks.networks import Networks

        return Networks(
            folder=self.config.home / "networks",
            run=self.config.home / "run",
            uplink=self.config.network.uplink,
            publish_on="" if self.config.network.publish_on == "0.0.0.0" else self.config.network.publish_on,  # noqa: S104
        )

    @cached_property
    def reclaim(self) -> "Reclaim":
        """The disk, and getting it back."""
        from datetime import timedelta

        from airdock.reclaim import Reclaim

        return Reclaim(
            engine=self.engine,
            cache=self.config.home / "cache",
            images_max=self.config.images.max_size,
            images_any=self.config.images.over_size == "any",
            cache_max=self.config.build.cache_max_size,
            keep=timedelta(days=self.config.environments.keep_days),
        )

    def _make_builtin(self, name: str) -> "Image | None":
        from airdock.engine import HOST

        # Whoever runs another image goes without what makes this one.
        return self.host.find(name) if name.partition(":")[0] == HOST else None

    # environments

    @cached_property
    def pythons(self) -> "Pythons":
        from airdock.environments.python import Pythons

        return Pythons(
            memory=self.config.home / "cache" / "pythons.json",
            home=Path.home(),
            path=os.environ.get("PATH", os.defpath),
            search=self.config.environments.python_search,
        )

    @cached_property
    def host(self) -> "HostImage":
        from airdock.environments.host import HostImage

        return HostImage(images=self.images, pythons=self.pythons, memory=self.config.home / "cache")

    @cached_property
    def environments(self) -> "Environments":
        """What makes environments: images, or virtual environments where the user gave up isolation."""
        from airdock.environments.index import load_index_settings

        index = load_index_settings(environ=os.environ, home=Path.home())
        cache = self.config.home / "cache"
        if self.is_isolated:
            from airdock.environments.images import ImageEnvironments

            return ImageEnvironments(
                engine=self.engine,
                host=self.host,
                folder=cache / "environments",
                base=self.config.environments.base,
                index=index,
                report=self._tell,
            )
        from airdock.environments.process import ProcessEnvironments

        return ProcessEnvironments(
            folder=cache / "process",
            cache=cache / "uv",
            pythons=self.pythons,
            index=index,
            report=self._tell,
            environ=os.environ,
        )

    # tasks

    @cached_property
    def folders(self) -> "tuple[Mount, ...]":
        """What tasks see of this machine. ConfigError where that can't be."""
        if not self.config.isolation.folders:
            return ()
        from airdock.surroundings import make_folders

        return make_folders(self.config.isolation.folders, home=self.config.home)

    def starter(self) -> "Starter":
        """What starts the processes of tasks, and of what else runs authors' code."""
        if self.is_isolated:
            from airdock.runner.container import ContainerStarter
            from airdock.surroundings import find_certificates, find_proxies

            network = self.config.network.mode
            return ContainerStarter(
                engine=self.engine,
                network=network,
                folders=self.folders,
                environ=find_proxies(os.environ) if network == "host" else {},
                host_environ=find_certificates(os.environ),
                tell=self._note,
            )
        from airdock.runner.process import ProcessStarter

        return ProcessStarter(environments=self.config.home / "cache" / "process", environ=os.environ)

    def _tell(self, progress: "Progress") -> None:
        self._report(progress)

    def _note(self, line: str) -> None:
        from airdock.model.progress import Note

        self._tell(Note(line=line))


def _ignore(progress: "Progress") -> None:
    """Nobody is told."""
