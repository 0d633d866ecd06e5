"""A Dockerfile and a folder become an image: parse, plan, then copy and run, cached by content."""
