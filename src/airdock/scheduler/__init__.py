"""Decide what happens next (pure), and apply it (loop)."""
