"""Every error that Airdock raises on purpose.

    AirdockError
    ├── ConfigError
    ├── DagError                      what a user wrote can't be a DAG
    │   ├── DagFileError              the file can't be read, parsed or run
    │   ├── CycleError
    │   ├── DuplicateTaskError
    │   └── NotPortableError          a function names something it can't take into another image
    ├── ImageError
    │   ├── InvalidReferenceError
    │   ├── UnknownImageError
    │   ├── DigestError               bytes aren't what their digest says
    │   ├── RegistryError             a registry refused, or answered what it may not
    │   │   ├── UnreachableError      no answer: name, network, certificate, time
    │   │   ├── DeniedError           it wants another login, or none is enough
    │   │   └── NotInRegistryError
    │   └── UnsafeArchiveError        a layer that reaches out of its root, or is too big
    ├── BuildError
    │   ├── DockerfileError           the text is wrong: line and reason
    │   ├── BuildCancelledError       another step failed, or whoever asked gave up
    │   └── StepFailedError           a command failed: step, line, exit code, the end of its output
    ├── ContainerError
    │   ├── IsolationError            this machine forbids what a container needs: which switch, how to turn it on
    │   ├── LauncherDiedError         it was killed, and what it ran with it
    │   ├── CopyError                 files can't go into a container or out of it
    │   ├── MountError                what is to be mounted can't be
    │   ├── VolumeError               a volume can't be had, or not be removed
    │   ├── NotExecutableError        exit code 126
    │   ├── CommandNotFoundError      exit code 127
    │   ├── NetworkError              a network can't be made or joined
    │   │   └── UnknownNetworkError
    │   └── UnknownContainerError
    ├── EnvironmentFailedError        what a task needs can't be made: which task, why
    ├── RunnerError                   channel or runner broke its contract
    ├── SecretsError                  a variable or connection can't be kept or read
    ├── StoreError
    │   ├── StoreAwayError            locked, on a full disk, or out of reach: ask again later
    │   └── ConflictError             a compare-and-set met another state
    └── UnknownRunError

The docstring of a class is its default message. `where` names the place (file and line, task, step), `hint` says
what to do; the command line prints each on a line of its own.
"""

__all__ = [
    "AirdockError",
    "BuildCancelledError",
    "BuildError",
    "CommandNotFoundError",
    "ConfigError",
    "ConflictError",
    "ContainerError",
    "CopyError",
    "CycleError",
    "DagError",
    "DagFileError",
    "DeniedError",
    "DigestError",
    "DockerfileError",
    "DuplicateTaskError",
    "EnvironmentFailedError",
    "ImageError",
    "InactiveAssetError",
    "InvalidReferenceError",
    "IsolationError",
    "LauncherDiedError",
    "MountError",
    "NetworkError",
    "NotExecutableError",
    "NotInRegistryError",
    "NotPortableError",
    "RegistryError",
    "RunnerError",
    "SecretsError",
    "StepFailedError",
    "StoreAwayError",
    "StoreError",
    "UnknownContainerError",
    "UnknownImageError",
    "UnknownNetworkError",
    "UnknownRunError",
    "UnreachableError",
    "UnsafeArchiveError",
    "VolumeError",
]


class AirdockError(Exception):
    """Something went wrong."""

    exit_code = 1

    def __init__(self, message: str = "", *, where: str = "", hint: str = "") -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        self.where = where
        self.hint = hint
        super().__init__(self.message)

    def to_dict(self) -> dict[str, str]:
        """The error for programs and for the way from one process to another."""
        return {"error": type(self).__name__, "message": self.message, "where": self.where, "hint": self.hint}


class ConfigError(AirdockError):
    """A setting has a value that it can't have."""

    exit_code = 2


class DagError(AirdockError):
    """What was written can't be a DAG."""


class DagFileError(DagError):
    """The DAG file can't be loaded."""


class CycleError(DagError):
    """The tasks wait for each other in a circle."""


class DuplicateTaskError(DagError):
    """Two tasks of one DAG have the same id."""


class NotPortableError(DagError):
    """The function names something that it can't take along into another image."""


class ImageError(AirdockError):
    """The image can't be used."""


class InvalidReferenceError(ImageError):
    """The name is not an image name."""


class UnknownImageError(ImageError):
    """There is no such image on this machine."""


class DigestError(ImageError):
    """The bytes are not what their digest says."""


class RegistryError(ImageError):
    """The registry could not do that. `status` is the HTTP status, 0 where there was none."""

    def __init__(self, message: str = "", *, where: str = "", hint: str = "", status: int = 0) -> None:
        super().__init__(message, where=where, hint=hint)
        self.status = status


class UnreachableError(RegistryError):
    """The registry doesn't answer."""


class DeniedError(RegistryError):
    """The registry doesn't let this account do that."""


class NotInRegistryError(RegistryError):
    """The registry doesn't have that."""


class UnsafeArchiveError(ImageError):
    """The archive would write outside its folder."""


class BuildError(AirdockError):
    """The image could not be built."""


class DockerfileError(BuildError):
    """The Dockerfile can't be understood."""


class BuildCancelledError(BuildError):
    """The build was broken off."""


class StepFailedError(BuildError):
    """A command of the build failed."""

    def __init__(
        self, message: str = "", *, where: str = "", hint: str = "", command_exit: int = 1, output: str = ""
    ) -> None:
        super().__init__(message, where=where, hint=hint)
        self.command_exit = command_exit
        self.output = output

    def to_dict(self) -> dict[str, str]:
        return {**super().to_dict(), "output": self.output, "command_exit": str(self.command_exit)}


class ContainerError(AirdockError):
    """The container could not be run."""

    exit_code = 125


class LauncherDiedError(ContainerError):
    """The launcher died, and what it ran with it."""


class CopyError(ContainerError):
    """The files could not be copied."""

    exit_code = 1  # as Docker's


class MountError(ContainerError):
    """What is to be mounted can't be."""


class VolumeError(ContainerError):
    """The volume can't be had."""

    exit_code = 1  # as Docker's


class IsolationError(ContainerError):
    """This machine forbids what a container needs."""


class NotExecutableError(ContainerError):
    """The command is there but can't be executed."""

    exit_code = 126


class CommandNotFoundError(ContainerError):
    """The command is not in the image."""

    exit_code = 127


class UnknownContainerError(ContainerError):
    """There is no such container."""

    exit_code = 1  # as Docker's


class NetworkError(ContainerError):
    """The network can't be had."""

    exit_code = 1  # as Docker's; running a container has one of its own


class UnknownNetworkError(NetworkError):
    """There is no such network."""


class EnvironmentFailedError(AirdockError):
    """What the task needs could not be made."""


class RunnerError(AirdockError):
    """The runner broke off or sent what it may not."""


class InactiveAssetError(RunnerError):
    """The task makes or uses an asset whose name or address belongs to another."""


class SecretsError(AirdockError):
    """A variable or connection could not be kept or read."""


class StoreError(AirdockError):
    """The metadata database could not do that."""


class StoreAwayError(StoreError):
    """The metadata database can't be had at the moment."""


class ConflictError(StoreError):
    """Somebody else changed the state first."""


class UnknownRunError(AirdockError):
    """There is no such run."""
