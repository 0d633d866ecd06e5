"""Variables and connections: where tasks' secrets are kept, and how."""
