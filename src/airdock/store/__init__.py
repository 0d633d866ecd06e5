"""Runs and task states: the contract, its SQL implementation, migrations."""
