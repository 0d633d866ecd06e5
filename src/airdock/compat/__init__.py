"""Airflow's import names, resolved to Airdock's while a DAG file is loaded and its tasks run."""

from airdock.compat.finder import install, uninstall

__all__ = ["install", "uninstall"]
