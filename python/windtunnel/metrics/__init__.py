"""Metrics of all configurations at once: `metrics.financial` on equity, `metrics.ml` on scores."""
