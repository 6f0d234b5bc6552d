"""``python -m windtunnel`` is the command line."""

from windtunnel.cli import main

main()
