"""The service, and large sets, on the machines of a Ray cluster."""
