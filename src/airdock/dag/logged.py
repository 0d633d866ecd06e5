"""What writes to the log of its task."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging

__all__ = ["LoggingMixin"]


class LoggingMixin:
    """Has a `log`, named after its class."""

    @property
    def log(self) -> "logging.Logger":
        import logging  # most tasks never ask for it

        return logging.getLogger(f"{type(self).__module__}.{type(self).__qualname__}")

    @property
    def logger(self) -> "logging.Logger":
        return self.log
