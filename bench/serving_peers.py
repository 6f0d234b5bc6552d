"""Services to be measured against, each written the ordinary way; run one as a process.

``python serving_peers.py NAME PORT [ARGUMENT]`` with NAME one of `fastapi-nothing`,
`starlette-nothing`, `onnxruntime` (ARGUMENT: the model), `windtunnel` and
`windtunnel-batching` (ARGUMENT: the registry).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


class Features(BaseModel):
    """A row as an ordinary service declares it."""

    features: list[float]


def fastapi_nothing() -> FastAPI:
    """A route that validates its body and does nothing with it."""
    app = FastAPI()

    @app.post("/v1/predict")
    async def predict(body: Features) -> dict[str, float]:
        del body
        return {"score": 0.0}

    return app


def starlette_nothing() -> Starlette:
    """A route that does nothing, not even read its body."""

    async def predict(_: Request) -> Response:
        return Response(b"{}", media_type="application/json")

    return Starlette(routes=[Route("/v1/predict", predict, methods=["POST"])])


def onnxruntime_service(path: str) -> FastAPI:
    """FastAPI, pydantic and an onnxruntime session on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    app = FastAPI()

    @app.post("/v1/predict")
    async def predict(body: Features) -> dict[str, float]:
        x = np.array([body.features], np.float32)
        return {"score": float(session.run(None, {"x": x})[0][0, 0])}

    return app


def write_onnx(params: Any, path: Path) -> None:
    """The network of `wide_bundle` as an ONNX graph."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    import wide_bundle

    nodes, weights = [], []

    def constant(name: str, value: np.ndarray) -> str:
        weights.append(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name))
        return name

    def node(kind: str, *inputs: str) -> str:
        out = f"{kind}_{len(nodes)}"
        nodes.append(helper.make_node(kind, list(inputs), [out]))
        return out

    hidden = node("Sub", "x", constant("mean", params["mean"]))
    hidden = node("Mul", hidden, constant("scale", 1 / params["scale"]))
    layers = wide_bundle.layers(params)
    for i, (kernel, bias) in enumerate(layers):
        names = constant(f"kernel_{i}", kernel), constant(f"bias_{i}", bias)
        hidden = node("Gemm", hidden, *names)
        if i < len(layers) - 1:
            hidden = node("Relu", hidden)
    half = node("Mul", hidden, constant("half", np.array(0.5, np.float32)))
    nodes.append(helper.make_node("Tanh", [half], ["score"]))
    width = len(params["mean"])
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", width])
    out = helper.make_tensor_value_info("score", TensorProto.FLOAT, ["rows", 1])
    graph = helper.make_graph(nodes, "wide", [x], [out], weights)
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)


def windtunnel(registry: str, port: int, *, batching: bool) -> None:
    """The service as `windtunnel serve --monitor` runs it, with an objective to keep."""
    from windtunnel.monitoring.service import listened_to
    from windtunnel.monitoring.settings import MonitorFile, ObjectiveSection
    from windtunnel.serving.server import serve
    from windtunnel.serving.settings import Settings

    settings = Settings(micro_batching=batching, linger_seconds=0)
    objective = ObjectiveSection(name="quick", target=0.99, seconds=0.05)
    folder = Path(registry).parent / f"monitoring-{port}"
    with listened_to(registry, MonitorFile(objective=(objective,)), folder) as bus:
        serve(registry, port=port, settings=settings, bus=bus, log_level="warning")


def main(name: str, port: int, argument: str = "") -> None:
    """Serve one of them until a signal."""
    if name.startswith("windtunnel"):
        windtunnel(argument, port, batching=name.endswith("batching"))
        return
    app: Any
    if name == "onnxruntime":
        app = onnxruntime_service(argument)
    else:
        app = fastapi_nothing() if name == "fastapi-nothing" else starlette_nothing()
    uvicorn.run(app, port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
