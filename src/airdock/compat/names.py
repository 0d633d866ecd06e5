"""Which Airflow name is which of ours. Only what is really there: a name is added when the thing behind it works."""

from collections.abc import Mapping
from typing import Final

__all__ = ["MODULES"]


def _of(module: str, names: str, **renamed: str) -> dict[str, str]:
    """The names, found in one module of ours; `renamed` are called otherwise there."""
    return {
        **{name: f"airdock.{module}:{name}" for name in names.split()},
        **{name: f"airdock.{module}:{ours}" for name, ours in renamed.items()},
    }


# --- authoring ------------------------------------------------------------------------------------------------------
_EXCEPTIONS: Final = _of(
    "dag.exceptions",
    "AirflowBadRequest AirflowConfigException AirflowException AirflowFailException AirflowNotFoundException "
    "AirflowRescheduleException AirflowSensorTimeout AirflowSkipException "
    "AirflowTaskTerminated AirflowTaskTimeout TaskDeferralError TaskDeferralTimeout TaskDeferred",
)
_DAG: Final = _of("dag.dag", "DAG")
_OPERATOR: Final = _of("dag.operator", "BaseOperator")
_SENSOR: Final = _of("dag.sensor", "BaseSensorOperator PokeReturnValue")
_TRIGGER: Final = _of(
    "dag.trigger",
    "BaseEventTrigger BaseTrigger StartTriggerArgs TaskFailedEvent TaskSkippedEvent TaskSuccessEvent TriggerEvent",
)
_PARAM: Final = _of("dag.param", "Param ParamsDict")
_XCOM_ARG: Final = _of("dag.xcom_arg", "XComArg")
_MAPPED: Final = _of("dag.mapping", "MappedOperator")
_RULE: Final = _of("dag.trigger_rule", "TriggerRule")
_WEIGHT_RULE: Final = _of("compat.legacy", "WeightRule")
_STATES: Final = _of("dag.states", "DagRunState TaskInstanceState")
_CONTEXT: Final = _of("dag.context", "get_current_context")
_CONTEXT_TYPE: Final = _of("dag.context", "Context")
_CHAIN: Final = _of("dag.edges", "chain chain_linear cross_downstream")
_ASSET_NAMES: Final = "Asset AssetAlias AssetAll AssetAny AssetNameRef AssetUriRef AssetWatcher BaseAsset"
_ASSET: Final = _of("dag.assets", f"{_ASSET_NAMES} AssetAccessControl Metadata")
_DATASET: Final = _of(
    "dag.assets",
    "Dataset",
    DatasetAlias="AssetAlias",
    DatasetAll="AssetAll",
    DatasetAny="AssetAny",
    Metadata="Metadata",
)
_ASSET_FUNCTION: Final = _of("dag.asset_function", "asset AssetDefinition MultiAsset")
_TIMETABLE_BASE: Final = _of("dag.timetables", "DagRunInfo DataInterval TimeRestriction Timetable")
_TIMETABLES: Final = _of(
    "dag.timetables",
    "AssetOrTimeSchedule ContinuousTimetable CronDataIntervalTimetable CronTriggerTimetable DeltaDataIntervalTimetable "
    "DeltaTriggerTimetable EventsTimetable MultipleCronTriggerTimetable NullTimetable OnceTimetable",
)
_PARTITIONS: Final = _of(
    "dag.partitions",
    "AllowedKeyMapper CronPartitionTimetable DayWindow FanOutMapper FixedKeyMapper HourWindow IdentityMapper "
    "MinimumCount MonthWindow PartitionMapper PartitionedAssetTimetable PartitionedAtRuntime ProductMapper "
    "QuarterWindow RollupMapper SegmentWindow StartOfDayMapper StartOfHourMapper StartOfMonthMapper "
    "StartOfQuarterMapper StartOfWeekMapper StartOfYearMapper WaitForAll WeekWindow Window YearWindow",
)
_RETRY: Final = _of("dag.retry_policy", "ExceptionRetryPolicy RetryAction RetryDecision RetryPolicy RetryRule")
_NOTIFIER: Final = _of("dag.notifier", "BaseNotifier")
_VARIABLE: Final = _of("dag.stored", "Variable")
_CONNECTION: Final = _of("dag.stored", "Connection")
_XCOM: Final = _of("dag.stored", "XCom")
_HOOK: Final = _of("dag.stored", "BaseHook")
_STRATEGY: Final = _of("dag.weights", "PriorityWeightStrategy")
_LITERAL: Final = _of("dag.templates", "literal")
_CALLBACK: Final = _of("dag.callback", "AsyncCallback SyncCallback")
_DEADLINE: Final = _of("dag.deadlines", "BaseDeadlineReference DeadlineAlert DeadlineReference deadline_reference")
_GROUP: Final = _of("dag.task_group", "TaskGroup")
_LABEL: Final = _of("dag.edges", "EdgeModifier Label")
_DECORATORS: Final = {
    **_of("dag.dag", "dag"),
    **_of("dag.decorators", "setup task teardown"),
    **_of("dag.task_group", "task_group"),
}
_SKIP_MIXIN: Final = _of("operators.branch", "SkipMixin")
_BRANCH_MIXIN: Final = _of("operators.branch", "BranchMixIn")
_NEVER: Final = _of("compat.legacy", "NEVER_EXPIRE")
_PLUGIN: Final = _of("compat.legacy", "AirflowPlugin")
_CONF: Final = _of("compat.legacy", "conf")
_LOG: Final = _of("dag.logged", "LoggingMixin")
_INSTANCE: Final = _of("dag.context", "", TaskInstance="Context", DagRun="Context")
_SDK: Final = {
    **_DAG,
    **_OPERATOR,
    **_SENSOR,
    **_PARAM,
    **_XCOM_ARG,
    **_RULE,
    **_WEIGHT_RULE,
    **_STATES,
    **_CONTEXT,
    **_CONTEXT_TYPE,
    **_CHAIN,
    **_DECORATORS,
    **_TRIGGER,
    **_GROUP,
    **_LABEL,
    **_ASSET,
    **_ASSET_FUNCTION,
    **_TIMETABLE_BASE,
    **_TIMETABLES,
    **_PARTITIONS,
    **_RETRY,
    **_NOTIFIER,
    **_VARIABLE,
    **_CONNECTION,
    **_XCOM,
    **_HOOK,
    **_LITERAL,
    **_MAPPED,
    **_WEIGHT_RULE,
    **_CALLBACK,
    **_DEADLINE,
    **_of("compat.kept", "BaseOperatorLink get_parsing_context"),
    **_of("compat.legacy", "conf"),
    **_of("dag.context", "", TaskInstance="Context"),
    **_of("dag.stored", "", BaseXCom="XCom"),
    **_of("operators.branch", "BaseBranchOperator BranchMixIn SkipMixin"),
}
_TIMEZONE: Final = _of(
    "compat.timezone", "coerce_datetime datetime is_localized is_naive make_aware make_naive parse utc utcnow"
)

# --- ready-made tasks -----------------------------------------------------------------------------------------------
_BASH: Final = _of("operators.bash", "BashOperator")
_BRANCH: Final = _of("operators.branch", "BaseBranchOperator BranchMixIn SkipMixin")
_EMPTY: Final = _of("operators.empty", "EmptyOperator")
_DATETIME: Final = _of("operators.branch_datetime", "BranchDateTimeOperator")
_LATEST: Final = _of("operators.latest_only", "LatestOnlyOperator")
_WEEKDAY: Final = _of("operators.branch_weekday", "BranchDayOfWeekOperator")
_DAYS: Final = _of("operators.weekday", "WeekDay")
_PYTHON: Final = {
    **_of("operators.python", "PythonOperator"),
    **_of("operators.branch", "BranchPythonOperator"),
    **_of("operators.short_circuit", "ShortCircuitOperator"),
    **_of(
        "operators.virtualenv",
        "BranchExternalPythonOperator BranchPythonVirtualenvOperator ExternalPythonOperator PythonVirtualenvOperator",
    ),
    **_CONTEXT,
}
_BASH_SENSOR: Final = _of("operators.sensors", "BashSensor")
_FILE_SENSOR: Final = _of("operators.sensors", "FileSensor")
_PYTHON_SENSOR: Final = _of("operators.sensors", "PythonSensor")
_DAY_SENSOR: Final = _of("operators.sensors", "DayOfWeekSensor")
_DATE_TIME_SENSOR: Final = _of("operators.time_sensors", "DateTimeSensor DateTimeSensorAsync")
_TIME_SENSOR: Final = _of("operators.time_sensors", "TimeSensor TimeSensorAsync")
_DELTA_SENSOR: Final = _of("operators.time_sensors", "TimeDeltaSensor TimeDeltaSensorAsync WaitSensor")
_FILE_TRIGGERS: Final = _of("operators.file_triggers", "DirectoryFileDeleteTrigger FileDeleteTrigger FileTrigger")
_TIME_TRIGGERS: Final = _of("operators.time_sensors", "DateTimeTrigger TimeDeltaTrigger")

_TRIGGER_RUN: Final = _of("operators.trigger_dagrun", "DagIsPaused TriggerDagRunOperator")
_EXTERNAL: Final = _of("operators.external_task", "ExternalTaskFailedError ExternalTaskMarker ExternalTaskSensor")
_EXTERNAL_TRIGGERS: Final = _of("operators.external_triggers", "DagStateTrigger WorkflowTrigger")

_STANDARD: Final[Mapping[str, Mapping[str, str]]] = {
    "hooks.filesystem": _of("operators.hooks", "FSHook"),
    "hooks.subprocess": _of("operators.hooks", "SubprocessHook SubprocessResult"),
    "operators.smooth": _of("operators.smooth", "SmoothOperator"),
    "operators.bash": _BASH,
    "operators.branch": _BRANCH,
    "operators.datetime": _DATETIME,
    "operators.empty": _EMPTY,
    "operators.latest_only": _LATEST,
    "operators.python": _PYTHON,
    "operators.trigger_dagrun": _TRIGGER_RUN,
    "operators.weekday": _WEEKDAY,
    "sensors.bash": _BASH_SENSOR,
    "sensors.date_time": _DATE_TIME_SENSOR,
    "sensors.external_task": _EXTERNAL,
    "sensors.filesystem": _FILE_SENSOR,
    "sensors.python": _PYTHON_SENSOR,
    "sensors.time": _TIME_SENSOR,
    "sensors.time_delta": _DELTA_SENSOR,
    "sensors.weekday": _DAY_SENSOR,
    "triggers.external_task": _EXTERNAL_TRIGGERS,
    "triggers.file": _FILE_TRIGGERS,
    "triggers.temporal": _TIME_TRIGGERS,
}
"""Below `airflow.providers.standard`, and in Airflow 2 directly below `airflow`."""

_AIRFLOW_2: Final[Mapping[str, Mapping[str, str]]] = {
    "airflow.operators.bash_operator": _BASH,
    "airflow.operators.branch_operator": _BRANCH,
    "airflow.operators.dagrun_operator": _TRIGGER_RUN,
    "airflow.operators.dummy": _of("operators.empty", "", DummyOperator="EmptyOperator"),
    "airflow.operators.dummy_operator": _of("operators.empty", "", DummyOperator="EmptyOperator"),
    "airflow.operators.latest_only_operator": _LATEST,
    "airflow.operators.python_operator": _PYTHON,
    "airflow.sensors.base": {**_SENSOR, **_of("dag.sensor", "poke_mode_only")},
    "airflow.sensors.base_sensor_operator": _SENSOR,
    "airflow.sensors.bash_sensor": _BASH_SENSOR,
    "airflow.sensors.date_time_sensor": _DATE_TIME_SENSOR,
    "airflow.sensors.external_task_sensor": _EXTERNAL,
    "airflow.utils.dates": _of("compat.legacy", "days_ago"),
    "airflow.utils.decorators": _of("compat.legacy", "apply_defaults"),
    "airflow.utils.helpers": _CHAIN,
    "airflow.utils.weekday": _DAYS,
}
"""What Airflow 3 itself no longer loads."""

_SECRET: Final = {"Secret": "airdock.compat.kept:Kept"}
_MAIL: Final = _of("operators.email", "EmailOperator")
_DOCKER: Final = _of("operators.elsewhere", "DockerOperator")
_POD: Final = _of("operators.elsewhere", "KubernetesPodOperator")
_ELSEWHERE: Final[Mapping[str, Mapping[str, str]]] = {
    "airflow.providers.cncf.kubernetes.operators.job": _of(
        "operators.elsewhere", "KubernetesDeleteJobOperator KubernetesJobOperator KubernetesPatchJobOperator"
    ),
    "airflow.providers.cncf.kubernetes.operators.kubernetes_pod": _POD,
    "airflow.providers.cncf.kubernetes.operators.kueue": _of(
        "operators.elsewhere", "KubernetesInstallKueueOperator KubernetesStartKueueJobOperator"
    ),
    "airflow.providers.cncf.kubernetes.operators.spark_kubernetes": _of(
        "operators.elsewhere", "SparkKubernetesOperator"
    ),
    "airflow.providers.cncf.kubernetes.hooks.kubernetes": _of("compat.kept", "", KubernetesHook="ServiceHook"),
    "airflow.providers.cncf.kubernetes.secret": _SECRET,
    "airflow.providers.cncf.kubernetes.utils.pod_manager": _of("compat.kept", "OnFinishAction"),
    "airflow.providers.docker.hooks.docker": _of("compat.kept", "", DockerHook="ServiceHook"),
    "airflow.providers.docker.operators.docker_swarm": _of("operators.elsewhere", "DockerSwarmOperator"),
    "airflow.contrib.operators.kubernetes_pod_operator": _POD,
    "airflow.kubernetes.secret": _SECRET,
    "airflow.operators.email": _MAIL,
    "airflow.operators.email_operator": _MAIL,
    "airflow.operators.generic_transfer": _of("operators.elsewhere", "GenericTransfer"),
    "airflow.operators.subdag": _of("operators.elsewhere", "SubDagOperator"),
    "airflow.providers.smtp.operators.smtp": _MAIL,
    "airflow.providers.cncf.kubernetes.operators.pod": _POD,
    "airflow.providers.cncf.kubernetes.operators.resource": _of(
        "operators.elsewhere", "KubernetesCreateResourceOperator KubernetesDeleteResourceOperator"
    ),
    "airflow.providers.docker.operators.docker": _DOCKER,
    "airflow.providers.standard.operators.hitl": _of(
        "operators.elsewhere", "ApprovalOperator HITLBranchOperator HITLEntryOperator HITLOperator"
    ),
}
"""Kinds of task that load, and fail when they run."""

MODULES: Final[Mapping[str, Mapping[str, str]]] = {
    **{f"airflow.providers.standard.{name}": names for name, names in _STANDARD.items()},
    **{f"airflow.{name}": names for name, names in _STANDARD.items()},
    **_AIRFLOW_2,
    **_ELSEWHERE,
    "airflow": {**_DAG, **_XCOM_ARG, **_DATASET, **_ASSET, **_of("compat.kept", "", __version__="AIRFLOW_VERSION")},
    "airflow.assets": _ASSET,
    "airflow.assets.metadata": _of("dag.assets", "Metadata"),
    "airflow.datasets": _DATASET,
    "airflow.datasets.metadata": _of("dag.assets", "Metadata"),
    "airflow.hooks.base": _HOOK,
    "airflow.hooks.base_hook": _HOOK,
    "airflow.io.path": _of("compat.storage", "ObjectStoragePath"),
    "airflow.models.asset": _ASSET,
    "airflow.models.connection": _CONNECTION,
    "airflow.models.variable": _VARIABLE,
    "airflow.models.xcom": _XCOM,
    "airflow.models.dagbag": _of("compat.legacy", "DagBag"),
    "airflow.models.taskmixin": _of("dag.edges", "", DAGNode="Linked", DependencyMixin="Linked"),
    "airflow.notifications.basenotifier": _NOTIFIER,
    "airflow.sdk.bases.hook": _HOOK,
    "airflow.sdk.bases.notifier": _NOTIFIER,
    "airflow.sdk.bases.xcom": _of("dag.stored", "", BaseXCom="XCom"),
    "airflow.sdk.definitions.asset": {**_ASSET, **_DATASET},
    "airflow.sdk.definitions.asset.decorators": _ASSET_FUNCTION,
    "airflow.sdk.definitions.asset.metadata": _of("dag.assets", "Metadata"),
    "airflow.sdk.definitions.connection": _CONNECTION,
    "airflow.sdk.definitions.retry_policy": _RETRY,
    "airflow.sdk.definitions.template": _LITERAL,
    "airflow.sdk.definitions.variable": _VARIABLE,
    "airflow.sdk.io": _of("compat.storage", "ObjectStoragePath"),
    "airflow.settings": _of("compat.legacy", "Session TIMEZONE"),
    "airflow.task.priority_strategy": _STRATEGY,
    "airflow.timetables.assets": _TIMETABLES,
    "airflow.timetables.base": _TIMETABLE_BASE,
    "airflow.timetables.datasets": _of("dag.timetables", "DatasetOrTimeSchedule"),
    "airflow.timetables.events": _TIMETABLES,
    "airflow.timetables.interval": _TIMETABLES,
    "airflow.timetables.simple": _TIMETABLES,
    "airflow.timetables.trigger": _TIMETABLES,
    "airflow.executors.debug_executor": _of("compat.kept", "", DebugExecutor="Executor"),
    "airflow.executors.local_executor": _of("compat.kept", "", LocalExecutor="Executor"),
    "airflow.executors.sequential_executor": _of("compat.kept", "", SequentialExecutor="Executor"),
    "airflow.lineage.entities": _of("compat.kept", "File"),
    "airflow.models.pool": _of("compat.kept", "Pool"),
    "airflow.partition_mappers.base": _of("dag.partitions", "PartitionMapper"),
    "airflow.partition_mappers.window": _of("dag.partitions", "Window"),
    "airflow.models.deadline": _of("dag.deadlines", "ReferenceModels"),
    "airflow.sdk.definitions.callback": {**_CALLBACK, **_of("dag.callback", "Callback")},
    "airflow.sdk.definitions.deadline": {
        **_CALLBACK,
        **_DEADLINE,
        **_of(
            "dag.deadlines",
            "AverageRuntimeDeadline DagRunLogicalDateDeadline DagRunQueuedAtDeadline FixedDatetimeDeadline "
            "VariableInterval",
        ),
    },
    "airflow.sdk.definitions.decorators": _DECORATORS,
    "airflow.sdk.log": _of("compat.kept", "mask_secret"),
    "airflow.sdk.macros": _of("compat.macros", "datetime_diff_for_humans ds_add ds_format ds_format_locale"),
    "airflow.sdk.secrets_masker": _of("compat.kept", "mask_secret"),
    "airflow.sdk.types": _of("dag.context", "", RuntimeTaskInstanceProtocol="Context"),
    "airflow.stats": _of("compat.kept", "Stats"),
    "airflow.utils.db": _of("compat.kept", "create_session"),
    "airflow.utils.email": _of("operators.email", "send_email"),
    "airflow.utils.log.secrets_masker": _of("compat.kept", "mask_secret"),
    "airflow.version": _of("compat.kept", "", version="AIRFLOW_VERSION"),
    "airflow.utils.template": _LITERAL,
    "airflow.configuration": _CONF,
    "airflow.decorators": _DECORATORS,
    "airflow.exceptions": _EXCEPTIONS,
    "airflow.listeners": _of("compat.legacy", "hookimpl"),
    "airflow.macros": _of("compat.macros", "datetime_diff_for_humans ds_add ds_format ds_format_locale"),
    "airflow.models": {
        **_DAG,
        **_OPERATOR,
        **_PARAM,
        **_XCOM_ARG,
        **_MAPPED,
        **_INSTANCE,
        **_VARIABLE,
        **_CONNECTION,
        **_XCOM,
        **_of("compat.legacy", "DagBag"),
        **_of("compat.kept", "DagModel Pool"),
    },
    "airflow.models.baseoperator": {**_OPERATOR, **_CHAIN},
    "airflow.models.dag": _DAG,
    "airflow.models.dagrun": _of("dag.context", "", DagRun="Context"),
    "airflow.models.mappedoperator": _MAPPED,
    "airflow.models.param": _PARAM,
    "airflow.models.skipmixin": _SKIP_MIXIN,
    "airflow.models.taskinstance": _of("dag.context", "", TaskInstance="Context"),
    "airflow.models.xcom_arg": _XCOM_ARG,
    "airflow.plugins_manager": _PLUGIN,
    "airflow.providers.common.compat.sdk": {
        **_SDK,
        **_EXCEPTIONS,
        **_SKIP_MIXIN,
        **_CONF,
        **_of("compat.storage", "ObjectStoragePath"),
    },
    "airflow.providers.common.compat.sdk.timezone": _TIMEZONE,
    "airflow.providers.standard.utils.skipmixin": _SKIP_MIXIN,
    "airflow.providers.standard.utils.weekday": _DAYS,
    "airflow.sdk": {**_SDK, **_of("compat.storage", "ObjectStoragePath")},
    "airflow.sdk.bases.operator": {**_OPERATOR, **_CHAIN},
    "airflow.sdk.bases.sensor": {**_SENSOR, **_of("dag.sensor", "poke_mode_only")},
    "airflow.sdk.configuration": _CONF,
    "airflow.sdk.definitions.context": {**_CONTEXT, **_CONTEXT_TYPE},
    "airflow.sdk.definitions.dag": {**_DAG, "dag": "airdock.dag.dag:dag"},
    "airflow.sdk.definitions.mappedoperator": _MAPPED,
    "airflow.sdk.definitions.param": _PARAM,
    "airflow.sdk.definitions.edges": _LABEL,
    "airflow.sdk.definitions.taskgroup": _GROUP,
    "airflow.sdk.definitions.xcom_arg": _XCOM_ARG,
    "airflow.sdk.exceptions": _EXCEPTIONS,
    "airflow.sdk.execution_time.context": _NEVER,
    "airflow.sdk.execution_time.task_runner": _of("dag.context", "", RuntimeTaskInstance="Context"),
    "airflow.sdk.timezone": _TIMEZONE,
    "airflow.triggers.base": _TRIGGER,
    "airflow.utils.context": _CONTEXT_TYPE,
    "airflow.utils.edgemodifier": _LABEL,
    "airflow.utils.log.logging_mixin": _LOG,
    "airflow.utils.session": {
        **_of("compat.legacy", "provide_session"),
        **_of("compat.kept", "NEW_SESSION create_session"),
    },
    "airflow.utils.task_group": _GROUP,
    "airflow.utils.state": {**_STATES, **_of("dag.states", "State")},
    "airflow.utils.timezone": _TIMEZONE,
    "airflow.utils.trigger_rule": _RULE,
    "airflow.utils.types": {**_of("dag.states", "DagRunType"), **_of("compat.kept", "NOTSET")},
    "airflow.utils.weight_rule": _WEIGHT_RULE,
    "tests_common.test_utils.system_tests": _of("compat.legacy", "", get_test_run="run_of_system_test"),
    "tests_common.test_utils.watcher": _of("compat.legacy", "", watcher="watch_nothing"),
}
"""Module → name → `module:name` of ours. The folders above a module are packages without names of their own."""
