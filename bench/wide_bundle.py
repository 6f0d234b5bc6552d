"""A registry with a 64-128-128-1 network on 64 features, random weights, for the benches."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from windtunnel.deployment.replay_window import replay_frame
from windtunnel.features.compute import compute

SIZES = (64, 128, 128, 1)
_KINDS = ("return", "volatility", "rsi", "zscore", "rank_return", "range", "gap", "trend")
FEATURES = tuple(f"{kind}_{window}" for kind in _KINDS for window in (5, 8, 10, 12, 14, 16, 18, 20))
_MAKER = Path(__file__).parent.parent / "tests" / "deployment" / "bundle_example.py"


def maker() -> Any:
    """The tests' module that makes an example bundle."""
    spec = importlib.util.spec_from_file_location("bundle_example", _MAKER)
    module = importlib.util.module_from_spec(spec)
    sys.modules["bundle_example"] = module
    spec.loader.exec_module(module)
    return module


def parameters(seed: int = 7) -> dict[str, Any]:
    """Kernels and biases as a study lays them out, for one seed of its network."""
    random = np.random.default_rng(seed)
    layers = [
        {
            "kernel": random.normal(0, 1 / np.sqrt(a), (1, a, b)).astype(np.float32),
            "bias": random.normal(0, 0.1, (1, b)).astype(np.float32),
        }
        for a, b in itertools.pairwise(SIZES)
    ]
    return {**{f"hidden_{i}": layer for i, layer in enumerate(layers[:-1])}, "head": layers[-1]}


def layers(params: Any) -> list[tuple[Any, Any]]:
    """Kernel and bias of each layer, from the input on."""
    network = params["network"]
    return [
        (network[name]["kernel"][0], network[name]["bias"][0])
        for name in sorted(network, key=lambda name: (name == "head", name))
    ]


def score(params: Any, x: Any) -> Any:
    """The network in jax.numpy."""
    hidden = (x - params["mean"]) * (1 / params["scale"])
    *inner, (kernel, bias) = layers(params)
    for inner_kernel, inner_bias in inner:
        hidden = jnp.maximum(hidden @ inner_kernel + inner_bias, 0)
    return 2 * jax.nn.sigmoid((hidden @ kernel + bias)[:, 0]) - 1


def plain_score(params: Any, x: np.ndarray) -> np.ndarray:
    """The same in NumPy and float64, for what a bench asserts before it times."""
    hidden = (x.astype(np.float64) - params["mean"]) / params["scale"]
    *inner, (kernel, bias) = layers(params)
    for inner_kernel, inner_bias in inner:
        hidden = np.maximum(hidden @ inner_kernel + inner_bias, 0)
    return np.tanh((hidden @ kernel + bias)[:, 0] / 2)


def export(path: Path, *, seed: int = 7, name: str = "wide") -> tuple[Path, Any, np.ndarray]:
    """Write the bundle to `path`; returns it, its parameters, and rows of features (R, 64)."""
    made = maker()
    example = made.make_example()
    tensor = compute(example.panel, FEATURES)
    rows = tensor.values.reshape(-1, len(FEATURES))
    defined = rows[~np.isnan(rows).any(axis=1)]
    params = {"mean": defined.mean(0), "scale": defined.std(0), "network": parameters(seed)}
    first, last = example.first, example.first + made.WINDOW
    scores = np.full(len(rows), np.nan, np.float32)
    scores[~np.isnan(rows).any(axis=1)] = plain_score(params, defined)
    scores = scores.reshape(example.panel.bars, -1)[first:last]
    exposures, _ = made.target_exposures(
        scores,
        example.panel.listed[first:last],
        enter=made.POLICY.enter,
        exit=made.POLICY.exit,
        leverage=made.POLICY.leverage,
        long_only=made.POLICY.long_only,
    )
    window = replay_frame(example.panel, (first, last), scores, exposures, context=tensor.warmup)
    bundle = made.export_example(
        example,
        path,
        score=score,
        params=params,
        name=name,
        features=FEATURES,
        warmup=tensor.warmup,
        reference=defined,
        replay=window,
        model={"family": "mlp", "hidden": [128, 128]},
    )
    return bundle, params, defined
