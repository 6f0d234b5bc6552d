"""The command line."""

from windtunnel.cli.app import main

__all__ = ["main"]
