"""Frozen records that both columns share: keys, states, environments, workloads, outcomes, usage, progress."""
