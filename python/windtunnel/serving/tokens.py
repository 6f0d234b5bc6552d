"""Bearer tokens with scopes, known by their SHA-256 and compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from windtunnel.errors import ServiceError

Scope: TypeAlias = Literal["predict", "admin"]
SCOPES: tuple[Scope, ...] = ("predict", "admin")
# A token for each scope may come from the environment, as containers hand over secrets.
VARIABLES: Mapping[Scope, str] = {
    "predict": "WINDTUNNEL_PREDICT_TOKEN",
    "admin": "WINDTUNNEL_ADMIN_TOKEN",
}
_SHORTEST = 16  # characters; a token is drawn, not thought up
_EXAMPLE = '[ops]\nsha256 = "..."\nscopes = ["predict", "admin"]'


@dataclass(frozen=True, slots=True)
class Token:
    """A token as the service knows it: a name for the log, a digest, and what it allows."""

    name: str
    digest: bytes
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Tokens:
    """All tokens of a service."""

    known: tuple[Token, ...] = ()

    def needed(self, scope: Scope) -> bool:
        """Whether `scope` asks for a token: admin always, predict once a token has it."""
        return scope == "admin" or any(scope in token.scopes for token in self.known)

    def find(self, authorization: bytes) -> Token | None:
        """The token of an ``Authorization`` header, or None.

        Every known token is compared, and each comparison takes as long whatever is
        presented, so that the time taken tells nothing of how close a guess came.
        """
        kind, _, secret = authorization.partition(b" ")
        digest = hashlib.sha256(secret.strip()).digest()
        found = None
        for token in self.known:
            if hmac.compare_digest(token.digest, digest):
                found = token
        return found if kind.lower() == b"bearer" else None


def load_tokens(path: str | Path | None, environment: Mapping[str, str] = os.environ) -> Tokens:
    """Tokens of a TOML file and of the environment.

    Parameters
    ----------
    path : path, optional
        One table a token: ``sha256`` (hexadecimal, of the token) and ``scopes``.
    environment : mapping
        `VARIABLES` hold tokens themselves, one a scope.

    Raises
    ------
    ServiceError
        The file cannot be read, or a token is not as it must be.
    """
    known = [] if path is None else _read(Path(path))
    for scope, variable in VARIABLES.items():
        secret = environment.get(variable)
        if secret is not None:
            if len(secret) < _SHORTEST:
                raise ServiceError(
                    f"{variable}: must have at least {_SHORTEST} characters, has {len(secret)}",
                    "Draw one with `openssl rand -hex 32`",
                )
            digest = hashlib.sha256(secret.encode()).digest()
            known.append(Token(variable, digest, frozenset((scope,))))
    return Tokens(tuple(known))


def draw(name: str, scopes: tuple[str, ...]) -> tuple[str, str]:
    """A new token, and the table that lets the service know it.

    Raises
    ------
    ServiceError
        A scope is unknown, or the name is no name.
    """
    _check(name, frozenset(scopes))
    secret = secrets.token_urlsafe(32)
    digest = hashlib.sha256(secret.encode()).hexdigest()
    listed = ", ".join(f'"{scope}"' for scope in scopes)
    return secret, f'[{name}]\nsha256 = "{digest}"\nscopes = [{listed}]\n'


def _read(path: Path) -> list[Token]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ServiceError(
            f"tokens file {str(path)!r} cannot be read: {error}", f"Write tables like\n{_EXAMPLE}"
        ) from None
    found = []
    for name, table in tables.items():
        if not isinstance(table, dict) or set(table) != {"sha256", "scopes"}:
            raise ServiceError(
                f"tokens file {str(path)!r}: {name}: must be a table of sha256 and scopes",
                f"Write\n{_EXAMPLE}",
            )
        text, scopes = table["sha256"], table["scopes"]
        if not isinstance(text, str) or not re.fullmatch(r"[0-9a-fA-F]{64}", text):
            raise ServiceError(
                f"tokens file {str(path)!r}: {name}.sha256: must be 64 hexadecimal digits",
                "Give the SHA-256 of the token, not the token",
            )
        if not isinstance(scopes, list) or not all(isinstance(scope, str) for scope in scopes):
            raise ServiceError(
                f"tokens file {str(path)!r}: {name}.scopes: must be a list of "
                f"{' and '.join(SCOPES)}",
                f"Write\n{_EXAMPLE}",
            )
        _check(name, frozenset(scopes))
        found.append(Token(name, bytes.fromhex(text), frozenset(scopes)))
    return found


def _check(name: str, scopes: frozenset[str]) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", name):
        raise ServiceError(
            f"token name: must be letters, digits, '_' and '-', got {name!r}", "Choose another"
        )
    unknown = sorted(scopes - set(SCOPES))
    if unknown or not scopes:
        found = f"got {unknown[0]!r}" if unknown else "got none"
        raise ServiceError(
            f"token {name!r}: scopes: must be of {', '.join(SCOPES)}, {found}",
            "Choose from these",
        )
