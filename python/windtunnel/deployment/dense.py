"""Bundles whose network is a stack of dense layers on one bar of one instrument.

Other runtimes can repeat such a network from its parameters: the ONNX export and the service's
kernel for few rows both ask here, so that they agree on what there is to repeat.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy.typing as npt

from windtunnel.errors import BundleError

FAMILIES = ("linear", "mlp")
# What turns a logit z into a score: z, 2 sigmoid(z) - 1, tanh(z), or sigmoid(z).
Output: TypeAlias = Literal["identity", "direction", "tanh", "sigmoid"]


@dataclass(frozen=True)
class Dense:
    """A stack of dense layers with a ReLU between them.

    Attributes
    ----------
    layers : tuple of str
        From the input to the output; the parameters of ``a`` are ``network/a/kernel``
        (S, wide, narrow) and ``network/a/bias`` (S, narrow) for S seeds.
    residual : bool
        Whether hidden layers add to what they are given, where the widths agree.
    output : Output
    """

    layers: tuple[str, ...]
    residual: bool
    output: Output


def dense_form(
    model: Mapping[str, Any],
    kind: str,
    parameters: Mapping[str, npt.NDArray[Any]],
    *,
    long_only: bool,
) -> Dense:
    """The layers of a model, by the `model` and label `kind` of its manifest.

    Parameters
    ----------
    parameters : mapping of str to array
        Flat, as `Bundle.parameters`: the layers', `mean` and `scale` (F,), perhaps `mask` (F,).
    long_only : bool
        Of the policy: what the head 'sharpe' says then lies in [0, 1].

    Raises
    ------
    BundleError
        It is no such stack; the message names the field of the model that stands in the way.
    """
    family, scope = model.get("family"), model.get("scope", "instrument")
    if family not in FAMILIES:
        raise _refusal("model.family", family, f"be one of {', '.join(map(repr, FAMILIES))}")
    if model.get("trainer") == "rl":
        raise _refusal("training.trainer", "rl", "be 'supervised': a policy remembers its account")
    if scope != "instrument":
        raise _refusal("model.scope", scope, "be 'instrument'")
    output = _output(model.get("head", "auto"), kind, long_only)
    hidden = len(model.get("hidden", ())) if family == "mlp" else 0
    layers = (*(f"hidden_{i}" for i in range(hidden)), "head")
    if not _fit(layers, parameters):
        raise BundleError(
            f"the parameters are not those of family {family!r} with {hidden} hidden layers",
            "Export it with the code that made it",
        )
    return Dense(layers, family == "mlp" and bool(model.get("residual")), output)


def _output(head: Any, kind: str, long_only: bool) -> Output:
    if head == "auto":
        head = "direction" if kind == "direction" else "regression"
    outputs: dict[Any, Output] = {
        "regression": "identity",
        "direction": "direction",
        "sharpe": "sigmoid" if long_only else "tanh",
    }
    if head not in outputs:
        raise _refusal("model.head", head, f"be one of 'auto', {', '.join(map(repr, outputs))}")
    return outputs[head]


def _fit(layers: tuple[str, ...], parameters: Mapping[str, npt.NDArray[Any]]) -> bool:
    """Whether these are the parameters of the layers, each as wide as the next one takes it."""
    wanted = {f"network/{layer}/{part}" for layer in layers for part in ("kernel", "bias")}
    if parameters.keys() - {"mask"} != wanted | {"mean", "scale"}:
        return False
    mean = parameters["mean"]
    seeds, width = len(parameters["network/head/bias"]), mean.shape[-1]
    if any(
        parameters[name].shape != (width,)
        for name in ("mean", "scale", "mask")
        if name in parameters
    ):
        return False
    for layer in layers:
        kernel, bias = (parameters[f"network/{layer}/{part}"] for part in ("kernel", "bias"))
        narrow = 1 if layer == "head" else bias.shape[-1]
        if kernel.shape != (seeds, width, narrow) or bias.shape != (seeds, narrow):
            return False
        width = narrow
    return True


def _refusal(field: str, value: Any, rule: str) -> BundleError:
    return BundleError(
        f"{field} must {rule}, this model has {value!r}",
        f"Serve the bundle itself, or train a model with another {field}",
    )
