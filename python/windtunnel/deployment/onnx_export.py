"""A bundle of the linear or perceptron family as an ONNX file, held to the bundle's program.

For systems that run ONNX; the service runs the bundle itself. The graph holds the scaler, the
network of every seed, the mean over the seeds, and NaN for a row with a NaN feature.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from windtunnel import artifacts
from windtunnel.data.panel import Float32Array
from windtunnel.deployment.bundle import Bundle, load_bundle
from windtunnel.deployment.dense import Dense, dense_form
from windtunnel.deployment.replay import SCORE_TOLERANCE, score_rows
from windtunnel.errors import BundleError

_OPSET = 17
_IR_VERSION = 8  # that of the opset's time, so that older runtimes load the file


@dataclass(frozen=True)
class OnnxCertificate:
    """Outcome of running the ONNX file beside the bundle's program.

    `largest_difference` is absolute, and relative to scores beyond 1.
    """

    rows: int
    largest_difference: float

    @property
    def sentence(self) -> str:
        """The outcome in words."""
        return (
            f"onnxruntime and the bundle agree on {self.rows} rows within {SCORE_TOLERANCE:g}, "
            f"relative to scores beyond 1 (largest difference {self.largest_difference:.1e})."
        )


def export_onnx(source: Path, path: Path) -> OnnxCertificate:
    """Write the bundle at `source` as an ONNX file, once onnxruntime agrees with it.

    Input ``features`` (rows, F) float32, raw, in the order of the manifest, which is kept in
    the file's metadata; output ``scores`` (rows,) float32.

    Raises
    ------
    BundleError
        `path` exists, the model is no stack of dense layers, the packages are not installed,
        or onnxruntime gives other scores; nothing is written then.
    """
    if path.exists():
        raise BundleError(f"file {str(path)!r} exists already", "Give another path")
    try:
        import onnx  # noqa: PLC0415 - an extra
        import onnxruntime  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise BundleError(
            f"an ONNX export needs {error.name!r}, which is not installed",
            "Install it with `pip install 'windtunnel[onnx]'`",
        ) from None
    bundle = load_bundle(source)
    model = _model(bundle, _dense(bundle))
    onnx.checker.check_model(model, full_check=True)
    raw = model.SerializeToString()
    rows = _rows(bundle)
    session = onnxruntime.InferenceSession(raw, providers=["CPUExecutionProvider"])
    (scores,) = session.run(["scores"], {"features": rows})
    certificate = _compare(source, scores, bundle.score(rows))
    artifacts.write_bytes(path, raw)
    return certificate


def _rows(bundle: Bundle) -> Float32Array:
    """Rows to compare on: the replay sample's, the reference's, and one with a NaN."""
    window = bundle.replay_window()
    replayed = score_rows(bundle, window.panel, window.first).features
    reference = bundle.reference().to_numpy()
    rows = np.concatenate([replayed, reference, reference[:1]]).astype(np.float32)
    rows[-1, 0] = np.nan
    return rows


def _compare(source: Path, scores: Float32Array, expected: Float32Array) -> OnnxCertificate:
    both = ~np.isnan(expected)
    difference = np.abs(scores.astype(np.float64) - expected)[both]
    difference /= np.maximum(np.abs(expected[both]), 1)
    largest = float(difference.max(initial=0.0))
    if not (np.array_equal(np.isnan(scores), ~both) and largest <= SCORE_TOLERANCE):
        raise BundleError(
            f"bundle {str(source)!r}: onnxruntime gives scores that differ by up to {largest:g}, "
            "or are defined elsewhere",
            "Serve the bundle itself, and report this",
        )
    return OnnxCertificate(len(expected), largest)


def _dense(bundle: Bundle) -> Dense:
    manifest = bundle.manifest
    try:
        return dense_form(
            manifest.model,
            manifest.label.kind,
            bundle.parameters,
            long_only=manifest.policy.long_only,
        )
    except BundleError as error:
        raise BundleError(
            f"bundle {str(bundle.path)!r} has no ONNX export: {error.problem}", error.remedy
        ) from None


def _model(bundle: Bundle, dense: Dense) -> Any:
    from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415 - an extra

    manifest = bundle.manifest
    parameters = {name: np.asarray(value, np.float32) for name, value in bundle.parameters.items()}
    nodes: list[Any] = []
    constants: dict[str, npt.NDArray[np.generic]] = {
        "mean": parameters["mean"],
        "inverse_scale": 1 / parameters["scale"],
        "nan": np.array(np.nan, np.float32),
    }

    def add(kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    add("Sub", ["features", "mean"], "centred")
    h = add("Mul", ["centred", "inverse_scale"], "standardised")
    if "mask" in parameters:
        constants["mask"] = parameters["mask"]
        h = add("Mul", [h, "mask"], "masked")
    # (rows, F) @ (S, F, width) broadcasts over the seeds: (S, rows, width).
    width = bundle.width
    for layer in dense.layers:
        given, narrow = h, parameters[f"network/{layer}/bias"].shape[-1]
        constants[f"{layer}_kernel"] = parameters[f"network/{layer}/kernel"]
        constants[f"{layer}_bias"] = parameters[f"network/{layer}/bias"][:, None, :]
        add("MatMul", [h, f"{layer}_kernel"], f"{layer}_product")
        h = add("Add", [f"{layer}_product", f"{layer}_bias"], f"{layer}_sum")
        if layer != "head":
            h = add("Relu", [h], f"{layer}_relu")
            if dense.residual and narrow == width:
                h = add("Add", [given, h], f"{layer}_residual")
        width = narrow
    if dense.output == "tanh":
        h = add("Tanh", [h], "exposure")
    elif dense.output == "sigmoid":
        h = add("Sigmoid", [h], "exposure")
    elif dense.output == "direction":
        constants |= {"two": np.array(2, np.float32), "one": np.array(1, np.float32)}
        add("Sigmoid", [h], "probability")
        add("Mul", ["probability", "two"], "doubled")
        h = add("Sub", ["doubled", "one"], "direction")
    add("ReduceMean", [h], "mean_score", axes=[0, 2], keepdims=0)
    # A ReLU may turn NaN into 0, so rows with a NaN are marked from the input.
    add("IsNaN", ["features"], "missing")
    add("Cast", ["missing"], "missing_count", to=TensorProto.FLOAT)
    add("ReduceMax", ["missing_count"], "any_missing", axes=[1], keepdims=0)
    add("Cast", ["any_missing"], "undefined", to=TensorProto.BOOL)
    add("Where", ["undefined", "nan", "mean_score"], "scores")
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        manifest.name,
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", bundle.width])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows"])],
        [
            numpy_helper.from_array(np.ascontiguousarray(value), name)
            for name, value in constants.items()
            if name in used
        ],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", _OPSET)], producer_name="windtunnel"
    )
    model.ir_version = _IR_VERSION
    helper.set_model_props(
        model,
        {
            "features": ",".join(manifest.features),
            "study_digest": manifest.study_digest,
            "trial": str(manifest.trial),
        },
    )
    return model
