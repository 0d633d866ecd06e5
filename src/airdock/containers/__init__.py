"""Durable containers of a home: what was asked for, their names, their monitors, logs, restarts and health."""
