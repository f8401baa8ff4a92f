"""ONNX Runtime: inference of the tutorial's network and of whole ones, as graphs built by hand.

Contract: see adapters/__init__.py; it does not train. The graph is what an exporter would write: channels first, with
a softmax at the end, and a batch of any size; weights are constants, so the runtime may pack and fuse as it likes.
"""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from .. import data, shapes
from . import onnx_networks


class Adapter:
    def __init__(self, threads):
        self.options = onnxruntime.SessionOptions()
        self.options.intra_op_num_threads = threads
        self.options.inter_op_num_threads = 1

    def versions(self):
        return {"onnxruntime": onnxruntime.__version__}

    def inference(self, weights):
        session = self._session(_network(weights))

        def call(images):
            # one channel: channels first are the same bytes
            return session.run(None, {"x": images.reshape(len(images), 1, 28, 28)})[0]

        return {"call": call}

    def native(self, x):
        return channels_first(x)

    def network_inference(self, network, weights):
        session = self._session(onnx_networks.build(network, weights))
        return lambda x: session.run(None, {"x": x})[0], channels_last

    def _session(self, model):
        return onnxruntime.InferenceSession(model.SerializeToString(), self.options, providers=["CPUExecutionProvider"])

    def read(self, result):
        float(result[(-1,) * result.ndim])


def channels_first(array):
    return np.ascontiguousarray(np.moveaxis(array, -1, 1))


def channels_last(array):
    return np.moveaxis(array, 1, -1)


def _network(weights):
    tensors = {name: _channels_first(name, array) for name, array in weights.items()}
    nodes, x = [], "x"
    for name in ("conv1", "conv2"):
        nodes += [
            helper.make_node("Conv", [x, f"{name}.kernel", f"{name}.bias"], [name]),
            helper.make_node("Relu", [name], [f"{name}.relu"]),
            helper.make_node("MaxPool", [f"{name}.relu"], [f"{name}.pool"], kernel_shape=[2, 2], strides=[2, 2]),
        ]
        x = f"{name}.pool"
    nodes += [
        helper.make_node("Flatten", [x], ["flat"]),
        helper.make_node("Gemm", ["flat", "dense.kernel", "dense.bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["y"], axis=1),
    ]
    graph = helper.make_graph(
        nodes, "tutorial",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 28, 28])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", shapes.CLASSES])],
        [numpy_helper.from_array(array, name) for name, array in tensors.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def _channels_first(name, array):
    if name == "dense.kernel":
        return data.dense_kernel_channels_first(array)
    return array.transpose(3, 2, 0, 1).copy() if array.ndim == 4 else array
