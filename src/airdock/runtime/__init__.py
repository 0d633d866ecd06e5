"""A container spec to a running container."""
