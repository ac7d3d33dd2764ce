"""TODO tensor_networks."""
