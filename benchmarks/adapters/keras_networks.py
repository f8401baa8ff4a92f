"""Whole networks in any module with Keras' names: Keras itself and fastconv.

Contract: `build` gives a functional model with the given weights, `training` the run(i) -> loss of a step. Layers are
written as each one's users write them: Keras pads strided convolutions with a layer of zeros and calls causal padding
by name, while fastconv's layers take the (low, high) pairs; a depthwise convolution is a DepthwiseConv where there is
one.
"""

from .. import networks


def training(keras, network, weights, ring):
    model = build(keras, network, weights)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.SGD(learning_rate=network.learning_rate), loss=loss)
    return lambda i: float(model.train_on_batch(*ring[i % len(ring)]))


def build(keras, network, weights):
    tensors, made = {}, {}
    for layer in network.layers.values():
        inputs = [tensors[name] for name in layer.inputs]
        if layer.kind == "input":
            tensors[layer.name] = keras.Input(layer.shape)
            continue
        if layer.options.get("padding"):
            inputs, padding = _padding(keras, network, layer, inputs)
        else:
            padding = None
        made[layer.name] = _layer(keras, network, layer, padding)
        tensors[layer.name] = made[layer.name](inputs if len(inputs) > 1 else inputs[0])
    model = keras.Model(tensors[network.input.name], tensors[network.output.name])
    for name, own in weights.items():
        shapes = [tuple(weight.shape) for weight in made[name].weights]  # a depthwise kernel has its channels first
        made[name].set_weights([array.reshape(shape) for array, shape in zip(own.values(), shapes, strict=True)])
    return model


def _padding(keras, network, layer, inputs):
    """(inputs, padding argument): zeros by a layer where the argument cannot say it."""
    pairs = layer.options["padding"]
    if not any(map(any, pairs)):
        return inputs, "valid"
    if layer.options["strides"] == 1:
        low, high = pairs[0]
        if low == high:
            return inputs, "same"
        if keras.__name__ == "keras":
            return inputs, "causal"
    if keras.__name__ == "fastconv" and layer.kind == "conv":
        return inputs, pairs
    zeros = getattr(keras.layers, f"ZeroPadding{network.rank}D")(pairs[0] if network.rank == 1 else pairs)
    return [zeros(inputs[0])], "valid"


def _layer(keras, network, layer, padding):
    make, options, rank = keras.layers, layer.options, f"{network.rank}D"
    if layer.kind == "conv":
        common = {"strides": options["strides"], "padding": padding, "dilation_rate": options["dilation"],
                  "use_bias": options["bias"]}  # fmt: skip
        if options["groups"] == 1:
            return getattr(make, "Conv" + rank)(layer.shape[-1], options["kernel_size"], **common)
        if hasattr(make, "DepthwiseConv" + rank):
            return getattr(make, "DepthwiseConv" + rank)(options["kernel_size"], **common)
        return getattr(make, "Conv" + rank)(layer.shape[-1], options["kernel_size"], groups=options["groups"], **common)
    if layer.kind in ("max_pool", "average_pool"):
        kind = "MaxPooling" if layer.kind == "max_pool" else "AveragePooling"
        return getattr(make, kind + rank)(options["size"], options["strides"], padding)
    if layer.kind == "norm":
        return make.BatchNormalization(momentum=networks.MOMENTUM, epsilon=networks.EPSILON)
    if layer.kind == "relu":
        return make.ReLU(max_value=options["limit"])
    if layer.kind == "dense":
        return make.Dense(layer.shape[-1])
    if layer.kind == "upsample":
        return getattr(make, "UpSampling" + rank)(2)
    if layer.kind == "global_average_pool":
        return getattr(make, "GlobalAveragePooling" + rank)()
    return {"add": make.Add, "concat": make.Concatenate, "flatten": make.Flatten}[layer.kind]()
