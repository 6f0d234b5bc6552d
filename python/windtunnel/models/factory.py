"""From the model table of a study file to a Flax module, by the family's name.

A family is a function from `ModelSection` to a linen module, registered by name. The
module keeps one contract, so that every family trains in the same program:

- `module(x, rate, bits)` maps features x (rows, F) float32 to logits (rows,) float32, or
  (rows, outputs) where `section.outputs` is more than one;
- a module with a property or attribute `window` above zero sees the last `window` bars of
  its row instead: x is (rows, window, F), oldest first;
- `rate` is the dropout rate, a traced float32 scalar: another rate never recompiles;
- `bits` (rows, masked_units) uint8 decide what is dropped (`windtunnel.models.dropout`);
  None, the default, means evaluation: nothing is dropped;
- the property `masked_units` says how many columns of bits the module wants, 0 for none;
- the module's only variables are parameters (no batch statistics): a score then depends
  on its own row alone.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from windtunnel.errors import StudyFileError

if TYPE_CHECKING:
    from windtunnel.config.study import ModelSection

# Flax modules are typed as Any: naming them would import Flax, which takes a second.
Builder: TypeAlias = "Callable[[ModelSection], Any]"
_B = TypeVar("_B", bound=Callable[..., Any])

_BUILDERS: dict[str, Builder] = {}
_BUILT_IN = tuple(
    f"windtunnel.models.{name}" for name in ("gru", "linear", "mlp", "tcn", "transformer", "trees")
)


def register(name: str) -> Callable[[_B], _B]:
    """Decorator: make a function from `ModelSection` to a module the family `name`.

    Raises
    ------
    StudyFileError
        Another function holds that name already.

    Examples
    --------
    >>> @register("my_net")  # doctest: +SKIP
    ... def my_net(section):
    ...     return MyNet(width=section.width)
    """

    def keep(builder: _B) -> _B:
        held = _BUILDERS.get(name)
        if held is not None and _origin(held) != _origin(builder):
            raise StudyFileError(
                f"model family {name!r} is registered already, by {_origin(held)}",
                "Register the new family under another name",
            )
        _BUILDERS[name] = builder
        return builder

    return keep


def families() -> tuple[str, ...]:
    """Names of all registered families, sorted."""
    for module in _BUILT_IN:
        import_module(module)
    return tuple(sorted(_BUILDERS))


def create(model: ModelSection) -> Any:
    """Build the Flax linen module that `model` describes.

    Raises
    ------
    StudyFileError
        No family of that name is registered; the message names those that are.
    """
    known = families()
    if model.family not in known:
        raise StudyFileError(
            f"model.family: no family is called {model.family!r}",
            f"Choose from {', '.join(known)}, or add one with windtunnel.models.register",
        )
    return _BUILDERS[model.family](model)


def window_of(module: Any) -> int:
    """Bars that a module sees of each row; 0 for one that takes rows of features as they are."""
    return int(getattr(module, "window", 0))


def _origin(builder: Builder) -> str:
    """Where a builder was defined; the same after a reload of its module."""
    return f"{builder.__module__}.{builder.__qualname__}"
