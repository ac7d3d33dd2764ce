"""TODO encodings."""
