"""Load DAG files away from this process: one, many side by side, and those of a folder that is watched."""
