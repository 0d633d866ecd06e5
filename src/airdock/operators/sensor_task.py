"""`@task.sensor`: a function that says whether what is waited for is there."""

from airdock.operators.sensors import PythonSensor

__all__ = ["SensorTask"]


class SensorTask(PythonSensor):
    """Calls the function until it returns something true."""

    operator_kind = "@task.sensor"
