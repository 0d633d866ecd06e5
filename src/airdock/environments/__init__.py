"""What a task says it needs, turned into an image digest."""
