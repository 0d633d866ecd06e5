"""What Airflow calls a try by in its environment, and scripts read that a DAG file starts: AIRFLOW_CTX_DAG_ID, ….

Read in the container too, so it imports next to nothing.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

    from airdock.model.keys import TryKey

__all__ = ["context_variables", "only_context"]

_PREFIX: Final = "AIRFLOW_CTX_"


def context_variables(key: "TryKey", *, owner: str, logical_date: "datetime | None") -> dict[str, str]:
    """Those of one try; there is none for what it doesn't have."""
    described = {
        "DAG_OWNER": owner,
        "DAG_ID": key.dag_id,
        "TASK_ID": key.task_id,
        "LOGICAL_DATE": logical_date.isoformat() if logical_date is not None else "",
        "TRY_NUMBER": str(key.try_number),
        "DAG_RUN_ID": key.run_id,
    }
    return {_PREFIX + name: value for name, value in described.items() if value}


def only_context(environ: Mapping[str, str]) -> dict[str, str]:
    """Those of an environment that are of this kind."""
    return {name: value for name, value in environ.items() if name.startswith(_PREFIX)}
