"""TODO nn."""
