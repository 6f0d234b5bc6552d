"""Windtunnel: tune, validate, ship and watch AI trading models."""
__version__ = "0.1.0"
