"""What a user writes: DAGs, tasks, operators' base, mapping, and their serialised form."""
