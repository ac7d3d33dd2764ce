"""TODO compression."""
