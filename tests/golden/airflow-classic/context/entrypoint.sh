#!/bin/sh
# Shows what the container was given; the real one would start the part of Airflow that is named.
echo "user $(id -un) group $(id -gn)"
echo "home $AIRFLOW_HOME in $(pwd)"
echo "starting $*"
cat airflow.cfg requirements.txt
ls -ln airflow.cfg | cut -d' ' -f1
stat -c '%U:%G' . airflow.cfg requirements.txt
echo "version argument: ${AIRFLOW_VERSION-unset}"
