"""What each example file defines in Airflow, and which of them Airdock can't load yet, with the reason.

The numbers were read with Airflow 3.3.2 itself, with nothing but apache-airflow installed: 113 DAGs and 415 tasks.
"""

from collections.abc import Mapping
from typing import Final

__all__ = ["CANNOT_LOAD", "EXPECTED"]

EXPECTED: Final[Mapping[str, tuple[int, int]]] = {
    "example_asset_alias": (4, 4),
    "example_asset_alias_with_no_taskflow": (4, 4),
    "example_asset_allow_teams": (2, 2),
    "example_asset_decorator": (3, 3),
    "example_asset_partition": (21, 21),
    "example_asset_state_store": (2, 2),
    "example_asset_with_watchers": (1, 1),
    "example_assets": (10, 10),
    "example_branch_labels": (1, 7),
    "example_branch_python_dop_operator_3": (1, 3),
    "example_complex": (1, 37),
    "example_custom_weight": (1, 4),
    "example_dag_decorator": (1, 3),
    "example_display_name": (1, 2),
    "example_dynamic_task_mapping": (3, 7),
    "example_dynamic_task_mapping_with_no_taskflow_operators": (1, 2),
    "example_failed_dag": (1, 1),
    "example_inlet_event_extra": (2, 2),
    "example_kubernetes_executor": (0, 0),
    "example_latest_only_with_trigger": (1, 5),
    "example_local_kubernetes_executor": (0, 0),
    "example_nested_branch_dag": (1, 9),
    "example_outlet_event_extra": (3, 3),
    "example_params_trigger_ui": (1, 6),
    "example_params_ui_tutorial": (1, 1),
    "example_passing_params_via_test_command": (1, 3),
    "example_retry_policy": (1, 1),
    "example_setup_teardown": (1, 6),
    "example_setup_teardown_taskflow": (1, 9),
    "example_simplest_dag": (1, 1),
    "example_skip_dag": (1, 8),
    "example_task_group": (1, 9),
    "example_task_group_decorator": (1, 17),
    "example_task_state_store": (1, 1),
    "example_task_state_store_async": (1, 1),
    "example_task_state_store_mapped": (1, 2),
    "example_time_delta_sensor_async": (1, 2),
    "example_trigger_target_dag": (1, 2),
    "example_workday_timetable": (1, 1),
    "example_xcom": (1, 6),
    "example_xcomargs": (2, 6),
    "tutorial": (1, 3),
    "tutorial_dag": (1, 3),
    "tutorial_objectstorage": (1, 2),
    "tutorial_taskflow_api": (1, 3),
    "tutorial_taskflow_api_virtualenv": (1, 3),
    "tutorial_taskflow_templates": (1, 1),
    "example_bash_decorator": (1, 13),
    "example_bash_operator": (1, 9),
    "example_branch_datetime_operator": (3, 9),
    "example_branch_day_of_week_operator": (1, 6),
    "example_branch_operator": (1, 23),
    "example_branch_operator_decorator": (1, 23),
    "example_external_task_child_deferrable": (1, 1),
    "example_external_task_marker_dag": (2, 4),
    "example_external_task_parent_deferrable": (1, 4),
    "example_hitl_operator": (1, 9),
    "example_latest_only": (1, 2),
    "example_measurement_correction_decorator": (1, 4),
    "example_measurement_correction_operator": (1, 4),
    "example_python_decorator": (1, 14),
    "example_python_operator": (1, 14),
    "example_sensor_decorator": (1, 2),
    "example_sensors": (1, 16),
    "example_short_circuit_decorator": (1, 14),
    "example_short_circuit_operator": (1, 14),
    "example_trigger_controller_dag": (1, 1),
}
"""File → DAGs and tasks. The two of none need the Kubernetes client to define any."""

CANNOT_LOAD: Final[Mapping[str, str]] = {}
"""File → what the error says, in part. A file that begins to load has to leave this table."""
