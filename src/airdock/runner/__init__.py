"""Stands beside a running task: supervisor, channel, logs."""
