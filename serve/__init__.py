"""A bundle as a service: over HTTP with a page, on Ray, and for NVIDIA's Triton Inference Server."""
