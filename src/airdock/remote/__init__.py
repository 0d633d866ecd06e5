"""Registries of others: pull, push, log in, over the OCI distribution protocol."""
