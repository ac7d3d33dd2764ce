"""TODO autodiff."""
