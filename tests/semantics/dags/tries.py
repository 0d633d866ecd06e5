"""Reference 4.2 and 4.4: how a try ends, by what is raised in it, and when there is another."""

import os
import signal
import time
from datetime import UTC, timedelta

from airflow.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
)
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.providers.standard.sensors.bash import BashSensor
from airflow.providers.standard.sensors.python import PythonSensor
from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor
from airflow.sdk import DAG, BaseSensorOperator, ExceptionRetryPolicy, PokeReturnValue, RetryAction, RetryRule, task
from airflow.sdk.exceptions import AirflowTaskTerminated

SOON = {"retry_delay": timedelta(seconds=1)}


def raises(error, tries=99):
    def body(ti):
        if ti.try_number <= tries:
            raise error
        return ti.try_number

    return body


with DAG("what_is_raised", schedule=None, default_args={**SOON, "retries": 2}):
    for _name, _error in {
        "any": ValueError("any"),
        "airflow": AirflowException("any of Airflow's"),
        "exits": SystemExit(3),
        "exits_well": SystemExit(0),
        "exits_without": SystemExit(),
        "interrupted": KeyboardInterrupt(),
        "times_out": AirflowTaskTimeout("timeout"),
        "fails": AirflowFailException("no other try"),
        "skips": AirflowSkipException("skip"),
        "sensor_timeout": AirflowSensorTimeout("no other try"),
        "terminated": AirflowTaskTerminated("ended"),
    }.items():
        PythonOperator(task_id=_name, python_callable=raises(_error))
    PythonOperator(task_id="second_time", python_callable=raises(ValueError("first time"), 1))
    PythonOperator(task_id="third_time", python_callable=raises(ValueError("first and second time"), 2))
    PythonOperator(task_id="fourth_time", python_callable=raises(ValueError("each time"), 3))
    PythonOperator(task_id="no_retries", python_callable=raises(ValueError("any"), 1), retries=0)

    @task(retries=1)
    def ends_itself():
        os._exit(0)

    @task(retries=1)
    def kills_itself():
        os.kill(os.getpid(), signal.SIGKILL)

    ends_itself()
    kills_itself()

    @task(retries=1, execution_timeout=timedelta(seconds=1))
    def too_long():
        time.sleep(30)

    @task(retries=1, execution_timeout=timedelta(seconds=1))
    def catches_its_timeout():
        try:
            time.sleep(30)
        except AirflowTaskTimeout:
            return "caught"

    too_long()
    catches_its_timeout()

with DAG("exit_codes", schedule=None):
    for _code in (0, 1, 99, 100, 255):
        BashOperator(task_id=f"code{_code}", bash_command=f"exit {_code}")
    BashOperator(task_id="skips_on_7", bash_command="exit 7", skip_on_exit_code=7)
    BashOperator(task_id="skips_on_many", bash_command="exit 8", skip_on_exit_code=[7, 8])
    BashOperator(task_id="skips_on_none", bash_command="exit 99", skip_on_exit_code=None)
    BashOperator(task_id="last_line", bash_command="echo one; echo 'two words'; echo")
    BashOperator(task_id="no_lines", bash_command="true")
    BashOperator(task_id="pushes_nothing", bash_command="echo one", do_xcom_push=False)
    BashOperator(task_id="processed", bash_command="echo '[1, 2]'", output_processor=lambda said: len(said))
    BashOperator(task_id="other_environment", bash_command="echo $MINE-$HOME", env={"MINE": "{{ 1 + 1 }}"})
    BashOperator(
        task_id="added_environment", bash_command="echo ${PATH:+path}-$MINE", env={"MINE": "mine"}, append_env=True
    )
    BashOperator(task_id="in_a_folder", bash_command="pwd", cwd="/usr")
    BashOperator(task_id="in_no_folder", bash_command="pwd", cwd="/nowhere")
    BashOperator(task_id="killed", bash_command="kill -9 $$")

    @task.bash
    def decorated():
        return "echo decorated"

    decorated()

with DAG("retry_policies", schedule=None, default_args={**SOON, "retries": 2}):
    policy = ExceptionRetryPolicy(
        rules=[
            RetryRule(exception=ZeroDivisionError, action=RetryAction.FAIL),
            RetryRule(exception=ValueError, action=RetryAction.RETRY, retry_delay=timedelta(seconds=1)),
            RetryRule(exception="builtins.KeyError", action=RetryAction.DEFAULT),
        ]
    )
    for _error in (ZeroDivisionError(), ValueError(), KeyError(), OSError()):
        PythonOperator(task_id=type(_error).__name__, python_callable=raises(_error), retry_policy=policy)
    PythonOperator(task_id="more_than_retries", python_callable=raises(ValueError()), retry_policy=policy, retries=0)

SENSES = {"poke_interval": 8, "timeout": 40, **SOON}


class Counts(BaseSensorOperator):
    """Ends at the number of pokes that it is given, over all reschedules of this try."""

    def __init__(self, *, pokes, **options):
        super().__init__(**options)
        self.pokes = pokes

    def poke(self, context):
        return context["ti"].task_reschedule_count >= self.pokes


with DAG("sensors", schedule=None, default_args=SENSES):
    for _mode in ("poke", "reschedule"):
        # Airflow loses what is rescheduled sooner than its executor tells the end of the poke before.
        _often = {"poke_interval": 1, "timeout": 3} if _mode == "poke" else {"poke_interval": 8, "timeout": 12}
        PythonSensor(task_id=f"{_mode}.succeeds", python_callable=lambda: True, mode=_mode)
        PythonSensor(task_id=f"{_mode}.times_out", python_callable=lambda: False, mode=_mode, retries=2, **_often)
        PythonSensor(task_id=f"{_mode}.soft_fail", python_callable=lambda: False, mode=_mode, soft_fail=True, **_often)
        PythonSensor(task_id=f"{_mode}.fails", python_callable=lambda: 1 / 0, mode=_mode, retries=1)
        PythonSensor(task_id=f"{_mode}.fails_softly", python_callable=lambda: 1 / 0, mode=_mode, soft_fail=True)
        PythonSensor(
            task_id=f"{_mode}.never_fails", python_callable=lambda: 1 / 0, mode=_mode, never_fail=True, **_often
        )
        PythonSensor(task_id=f"{_mode}.silently", python_callable=lambda: 1 / 0, mode=_mode, silent_fail=True, **_often)
        BashSensor(task_id=f"{_mode}.bash", bash_command="exit 0", mode=_mode)
        BashSensor(task_id=f"{_mode}.bash_retries", bash_command="exit 7", retry_exit_code=7, mode=_mode)
        BashSensor(task_id=f"{_mode}.bash_99", bash_command="exit 99", mode=_mode)
        TimeDeltaSensor(task_id=f"{_mode}.time_passes", delta=timedelta(seconds=1), mode=_mode, timeout=60)
    Counts(task_id="counts", pokes=2, mode="reschedule", timeout=60)

    @task.sensor(poke_interval=1, timeout=10)
    def decorated():
        return PokeReturnValue(is_done=True, xcom_value=[1, 2])

    @task
    def again(ti):
        if ti.task_reschedule_count < 2:
            from datetime import datetime

            raise AirflowRescheduleException(datetime.now(UTC))
        return [ti.try_number, ti.task_reschedule_count]

    decorated()
    again()

with DAG("never_sent", schedule=None):
    # An operator without anything to do is ended by the scheduler; what has something to do is sent.
    EmptyOperator(task_id="nothing_to_do")
    EmptyOperator(task_id="has_a_callback", on_success_callback=lambda context: None)
    EmptyOperator(task_id="after") << EmptyOperator(task_id="before")
