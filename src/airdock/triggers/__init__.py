"""Deferred tasks' triggers: one asyncio process for all of them, in a container of the host image."""
