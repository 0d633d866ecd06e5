"""Airflow's import names, resolved to Airdock's while a DAG file is loaded and its tasks run."""
