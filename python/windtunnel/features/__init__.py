"""Causal features: a catalogue of kinds and the Numba kernels that compute them."""
