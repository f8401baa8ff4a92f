"""Whole networks as ONNX graphs, for the runtimes that read them.

Contract: `build(network, weights)` gives a checked ModelProto, channels first, for a batch of any size; "x" is its
input, "y" its logits. It is what an exporter would write of a network in inference; weights are constants.
"""

import itertools

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .. import data, networks

NAMES = {"max_pool": "MaxPool", "average_pool": "AveragePool", "add": "Add", "relu": "Relu", "flatten": "Flatten"}


def build(network, weights):
    nodes, tensors = [], {}
    for layer in list(network.layers.values())[1:]:
        nodes.append(_node(network, layer, weights.get(layer.name, {}), tensors))
    for node in nodes:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                names[i] = {network.input.name: "x", network.output.name: "y"}.get(name, name)
    graph = helper.make_graph(
        nodes, "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *_first(network.input.shape)])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", *_first(network.output.shape)])],
        [numpy_helper.from_array(array, name) for name, array in tensors.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def _node(network, layer, own, tensors):
    """The layer's node; its constants go into `tensors`."""
    inputs, options, attributes = list(layer.inputs), layer.options, {}

    def constant(role, array):
        tensors[f"{layer.name}.{role}"] = array
        inputs.append(f"{layer.name}.{role}")

    for role, array in own.items():
        constant(role, data.kernel_channels_first(network, layer, array) if role == "kernel" else array)
    kind = NAMES.get(layer.kind)
    if layer.kind in ("conv", "max_pool", "average_pool"):
        pads = list(zip(*options["padding"]))
        rank = network.rank
        attributes = {
            "kernel_shape": options.get("kernel_size") or [options["size"]] * rank,
            "strides": [options["strides"]] * rank,
            "pads": list(itertools.chain(*pads)),
        }
        if layer.kind == "conv":
            kind = "Conv"
            attributes |= {"dilations": [options["dilation"]] * rank, "group": options["groups"]}
    elif layer.kind == "norm":
        kind, attributes = "BatchNormalization", {"epsilon": networks.EPSILON}
    elif layer.kind == "relu" and options["limit"]:
        kind = "Clip"
        constant("low", np.float32(0))
        constant("high", np.float32(options["limit"]))
    elif layer.kind == "dense":
        kind, attributes = "Gemm", {"transB": 1}
    elif layer.kind == "concat":
        kind, attributes = "Concat", {"axis": 1}
    elif layer.kind == "upsample":
        kind = "Resize"
        inputs.append("")  # no region of interest
        constant("scales", np.array([1, 1, *[2] * network.rank], np.float32))
        attributes = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    elif layer.kind == "global_average_pool":
        kind, attributes = "ReduceMean", {"axes": list(range(2, network.rank + 2)), "keepdims": 0}
    return helper.make_node(kind, inputs, [layer.name], name=layer.name, **attributes)


def _first(shape):
    return [shape[-1], *shape[:-1]]
