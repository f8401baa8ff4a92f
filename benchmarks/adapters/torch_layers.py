"""One layer of layers.py in PyTorch: functions of tensors that are channels first, and of Keras' weights.

Contract: `function(row, first, weights)` gives (call(training, *inputs), parameters) for a Row; `first` brings an array
to the format that is raced, `back` an output and a gradient to channels last. NotImplementedError for a row that
PyTorch has no layer for.
"""

import torch
import torch.nn.functional as F

CONVS = {"Conv1D": F.conv1d, "Conv2D": F.conv2d, "Conv3D": F.conv3d}
POOLS = {
    "MaxPooling1D": F.max_pool1d, "MaxPooling2D": F.max_pool2d, "MaxPooling3D": F.max_pool3d,
    "AveragePooling2D": F.avg_pool2d,
}  # fmt: skip
ACTIVATIONS = {
    "sigmoid": torch.sigmoid, "tanh": torch.tanh, "gelu": F.gelu, "silu": F.silu, "softplus": F.softplus,
    "hard_silu": F.hardswish,
}  # fmt: skip
PLAIN = {
    "ReLU": F.relu, "ELU": F.elu, "LeakyReLU": lambda x: F.leaky_relu(x, 0.1), "Add": torch.add, "Multiply": torch.mul,
    "Flatten": lambda x: x.flatten(1), "Rescaling": lambda x: x * 0.5 + 1.0,
    "GlobalAveragePooling2D": lambda x: x.mean((2, 3)), "GlobalMaxPooling2D": lambda x: x.amax((2, 3)),
    "Concatenate": lambda *x: torch.cat(x, 1), "ZeroPadding2D": lambda x: F.pad(x, (1, 1, 1, 1)),
}  # fmt: skip
CHANNELS_LAST_ROWS = ("Dense", "LayerNormalization", "Embedding", "LSTM", "GRU")  # take them so in PyTorch too


def kernel(array):
    """(*taps, C, K) -> (K, C, *taps)."""
    axes = (array.ndim - 1, array.ndim - 2, *range(array.ndim - 2))
    return torch.from_numpy(array.transpose(axes).copy())


def function(row, weights):
    """(call(training, *inputs), parameters in Keras' order, each of which has a gradient)."""
    kind, o = row.kind, row.options
    given = [torch.from_numpy(weight.copy()) for weight in weights]
    if kind in PLAIN:
        return lambda training, *x: PLAIN[kind](*x), []
    if kind == "Activation":
        return lambda training, x: ACTIVATIONS[o["activation"]](x), []
    if kind in POOLS:
        return lambda training, x: POOLS[kind](x, 2), []
    if kind == "Softmax":
        return lambda training, x: torch.softmax(x, 1), []
    if kind == "Permute":
        return lambda training, x: x.contiguous(), []
    if kind == "UpSampling2D":
        if o.get("interpolation") == "bilinear":
            return lambda training, x: F.interpolate(x, scale_factor=2, mode="bilinear"), []
        return lambda training, x: F.interpolate(x, scale_factor=2), []
    if kind == "PReLU":
        return lambda training, x: F.prelu(x, p[0]), (p := [given[0].reshape(-1).requires_grad_()])
    if kind == "Dense":
        p = [kernel(weights[0]).requires_grad_(), given[1].requires_grad_()]
        return lambda training, x: F.linear(x, *p), p
    if kind in CONVS:
        p = [kernel(weights[0]).requires_grad_(), given[1].requires_grad_()]
        return lambda training, x: CONVS[kind](x, *p, padding="same" if o.get("padding") else 0), p
    if kind == "DepthwiseConv2D":
        p = [kernel(weights[0].swapaxes(2, 3)).requires_grad_(), given[1].requires_grad_()]
        return lambda training, x: F.conv2d(x, *p, padding=1, groups=x.shape[1]), p
    if kind == "SeparableConv2D":
        p = [kernel(weights[0].swapaxes(2, 3)), kernel(weights[1]), given[2]]
        p = [part.requires_grad_() for part in p]
        return lambda training, x: F.conv2d(F.conv2d(x, p[0], padding=1, groups=x.shape[1]), *p[1:]), p
    if kind == "Conv2DTranspose":
        p = [kernel(weights[0]).requires_grad_(), given[1].requires_grad_()]
        return lambda training, x: F.conv_transpose2d(x, *p, stride=o["strides"]), p
    if kind == "BatchNormalization":
        gamma, beta, mean, variance = given
        p = [gamma.requires_grad_(), beta.requires_grad_()]
        return lambda training, x: F.batch_norm(x, mean.clone(), variance.clone(), *p, training, 0.01, o["epsilon"]), p
    if kind == "LayerNormalization":
        p = [part.requires_grad_() for part in given]
        return lambda training, x: F.layer_norm(x, x.shape[-1:], *p, o["epsilon"]), p
    if kind == "GroupNormalization":
        p = [part.requires_grad_() for part in given]
        return lambda training, x: F.group_norm(x, o["groups"], *p, o["epsilon"]), p
    if kind == "Embedding":
        p = [given[0].requires_grad_()]
        return lambda training, x: F.embedding(x, p[0]), p
    if kind == "LSTM":  # the order of Keras' gates is PyTorch's, and it has one bias
        module = torch.nn.LSTM(row.shapes[0][-1], o["units"], batch_first=True)
        with torch.no_grad():
            module.weight_ih_l0.copy_(kernel(weights[0]))
            module.weight_hh_l0.copy_(kernel(weights[1]))
            module.bias_ih_l0.copy_(given[2])
            module.bias_hh_l0.zero_()
        p = [module.weight_ih_l0, module.weight_hh_l0, module.bias_ih_l0]
        return lambda training, x: module(x)[0][:, -1], p
    raise NotImplementedError(f"PyTorch has no layer that computes Keras' {kind}")


def arrays(row, result):
    """The output and the gradients by inputs and parameters as NumPy arrays in Keras' form."""
    last = (lambda t: t) if row.kind in CHANNELS_LAST_ROWS or row.kind == "Permute" else (lambda t: t.movedim(1, -1))
    y, *rest = (part.detach() for part in result)
    if row.kind == "Flatten":
        size = row.shapes[0]
        y = y.reshape(size[0], size[3], size[1], size[2]).movedim(1, -1).flatten(1)
        out = [y]
    elif y.ndim > 2:
        out = [last(y)]
    else:
        out = [y]
    if len(result) > 1:
        inputs, rest = (rest[: len(row.shapes)], rest[len(row.shapes) :]) if row.differentiable else ([], rest)
        out += [part if part.ndim == 2 or row.kind in CHANNELS_LAST_ROWS else part.movedim(1, -1) for part in inputs]
        for part in rest:
            if row.kind == "PReLU":
                part = part.reshape(1, 1, -1)
            elif part.ndim > 1 and row.kind != "Embedding":
                part = part.permute(*range(2, part.ndim), 1, 0)
                out.append(part.movedim(-1, -2) if row.kind.startswith("Depthwise") or part.shape[-2] == 1 else part)
                continue
            out.append(part)
    return tuple(part.numpy() for part in out)
