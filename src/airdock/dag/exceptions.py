"""What a task raises to say how it ends; Airflow's names and meaning.

    AirflowException              fails the try; it is retried
    ├── AirflowSkipException      the task is skipped
    ├── AirflowFailException      the task fails and is not retried
    └── AirflowSensorTimeout      a sensor's time is over; not retried
    AirflowTaskTimeout            execution_timeout is over; retried
    AirflowTaskTerminated         the task was told to stop

The runner knows them by their names, so that the stand-ins in an image without Airdock count as the same.
"""

__all__ = [
    "AirflowException",
    "AirflowFailException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "AirflowTaskTerminated",
    "AirflowTaskTimeout",
]


class AirflowException(Exception):  # noqa: N818  Airflow's name
    """A task can't go on."""


class AirflowSkipException(AirflowException):
    """The task wants to be skipped."""


class AirflowFailException(AirflowException):
    """The task wants to fail without another try."""


class AirflowSensorTimeout(AirflowException):
    """A sensor waited longer than its timeout."""


class AirflowTaskTimeout(BaseException):
    """The task ran longer than its execution_timeout. Not an Exception, so that `except Exception` can't eat it."""


class AirflowTaskTerminated(BaseException):
    """The task was told to stop."""
