"""Networks by name: `create` builds what the study file describes, `register` adds a family."""

from windtunnel.models.factory import create, families, register

__all__ = ["create", "families", "register"]
