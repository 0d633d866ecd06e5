"""`airdock container`: Docker's verbs, flags, columns and exit codes for containers."""
