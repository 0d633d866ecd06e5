"""Airdock runs Airflow DAGs with every task in its own container, from one pip install."""

__version__ = "0.1.0"
__all__ = ["__version__"]
