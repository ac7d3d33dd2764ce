"""TODO decode_free."""
