"""Reinforcement learning: the engine's money in JAX, policies that act on it, their training."""
