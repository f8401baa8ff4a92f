"""OpenVINO's CPU plugin: inference of whole networks, from the ONNX graphs that ONNX Runtime runs.

Contract: see adapters/__init__.py; it does not train. It computes in float32 (its default may be bfloat16) and is tuned
for the answer of one call, as everybody here is.
"""

import importlib

from . import onnx_networks
from .onnxruntime import channels_first, channels_last

openvino = importlib.import_module("openvino")


class Adapter:
    def __init__(self, threads):
        self.core = openvino.Core()
        self.settings = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
            "ENABLE_CPU_PINNING": False,  # a worker's processors are set already
        }

    def versions(self):
        return {"openvino": openvino.__version__}

    def native(self, x):
        return channels_first(x)

    def network_inference(self, network, weights):
        model = self.core.read_model(onnx_networks.build(network, weights).SerializeToString())
        request = self.core.compile_model(model, "CPU", self.settings).create_infer_request()

        def call(x):
            return request.infer({"x": x}, share_inputs=True, share_outputs=True)[0]

        return call, channels_last

    def read(self, result):
        float(result[(-1,) * result.ndim])
