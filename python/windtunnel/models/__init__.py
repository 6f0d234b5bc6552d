"""Networks by name: `create` builds what the study file describes, `register` adds a family."""

from windtunnel.models.factory import create, families, register, window_of

__all__ = ["create", "families", "register", "window_of"]
