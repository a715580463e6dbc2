"""MultiScaleDCN: one contract (`spec.py`) and every implementation of it."""
