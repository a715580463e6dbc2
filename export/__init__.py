"""Ahead of time: from a training checkpoint to a bundle of graphs, and from a bundle to engines."""
