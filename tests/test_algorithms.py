"""Every algorithm on every shape that it claims, at the edges too; the choice among them."""

import numpy as np
import pytest
from helpers import integers, normal

from fastconv import kernels
from fastconv.kernels import Window, algorithms, reference

EDGES = {
    "one pixel": ((1, 1, 1, 16), (1, 1, 16, 16), {}),
    "one output": ((3, 3, 3, 16), (3, 3, 16, 16), {}),
    "one channel": ((2, 9, 9, 1), (3, 3, 1, 33), {}),
    "33 channels": ((2, 9, 9, 33), (3, 3, 33, 33), {"padding": "same"}),
    "a kernel as large as its input": ((2, 5, 5, 17), (5, 5, 17, 16), {}),
    "a kernel larger than its input": ((2, 2, 2, 17), (5, 5, 17, 16), {"padding": "same"}),
    "an empty batch": ((0, 9, 9, 16), (3, 3, 16, 16), {}),
    "odd groups": ((2, 9, 9, 15), (3, 3, 5, 21), {"padding": 1}),
    "groups of many channels": ((2, 7, 8, 48), (3, 3, 16, 48), {"padding": 1}),
    "two filters a channel": ((2, 9, 9, 7), (3, 3, 1, 14), {"padding": 1}),
    "depthwise, huge dilation": ((2, 40, 17), (3, 1, 17), {"dilation_rate": 19, "padding": "same"}),
    "huge dilation": ((2, 300, 16), (3, 16, 16), {"dilation_rate": 149}),
    "huge dilation, padded": ((1, 20, 20, 16), (5, 5, 16, 16), {"dilation_rate": 31, "padding": 62}),
    "1D": ((3, 61, 17), (3, 17, 16), {"padding": ((2, 0),)}),
    "1D, five taps": ((3, 61, 17), (5, 17, 16), {"padding": "same"}),
    "3D": ((2, 5, 6, 7, 16), (3, 3, 3, 16, 17), {"padding": "same"}),
    "3D, one tap deep": ((2, 5, 6, 7, 16), (1, 3, 3, 16, 17), {"padding": "same"}),
    "3D, one channel, one vector": ((2, 5, 6, 7, 1), (3, 3, 3, 1, 16), {"padding": "same"}),
    "3D, one channel, dilated": ((2, 7, 9, 9, 1), (3, 3, 3, 1, 8), {"dilation_rate": 2, "padding": "same"}),
    "strided": ((2, 11, 12, 16), (3, 3, 16, 16), {"strides": 2, "padding": 1}),
}


def names(kind, x, kernel, options):
    window = Window.of(x[1:-1], kernel[:-2], options.get("strides", 1), options.get("padding", "valid"),
                       options.get("dilation_rate", 1))  # fmt: skip
    problem = algorithms.Problem(kind, window, x[0], x[-1], kernel[-1], x[-1] // kernel[-2])
    return [row.name for row in algorithms.candidates(problem)], (x[0], *window.output, kernel[-1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("edge", EDGES)
def test_every_algorithm_runs_what_it_claims(edge, dtype, isa):
    x, kernel, options = EDGES[edge]
    _, y = names("forward", x, kernel, options)
    for make in (integers, normal):
        a, w, dy = make(x, dtype, 1), make(kernel, dtype, 2), make(y, dtype, 3)
        for kind, arguments in (
            ("forward", (a, w)),
            ("backward_input", (dy, w, x)),
            ("backward_kernel", (dy, a, kernel)),
        ):
            expected = getattr(reference, f"conv_{kind}")(*arguments, **options)
            taps = np.prod(kernel[:-2])
            terms = {
                "forward": taps * kernel[-2],
                "backward_input": taps * kernel[-1],
                "backward_kernel": np.prod(y[:-1]),
            }
            factors = [np.sqrt(np.mean(array.astype(np.float64) ** 2)) for array in arguments[:2] if array.size]
            scale = np.sqrt(terms[kind]) * np.prod(factors)  # a result's root mean square, were it no padding
            for name in names(kind, x, kernel, options)[0]:
                result = getattr(kernels, f"conv_{kind}")(*arguments, **options, algorithm=name)
                assert result.shape == expected.shape and result.dtype == dtype
                if make is integers and not name.startswith("winograd"):
                    np.testing.assert_array_equal(result, expected, err_msg=f"{kind} {name}")
                else:  # algorithms.py states the error: at most 2.6e-5 of the root mean square, over fewer values
                    error = np.abs(result - expected).max(initial=0) / max(scale, 1e-30)
                    assert error <= 1e-4 * np.finfo(dtype).eps / np.finfo(np.float32).eps, f"{kind} {name}: {error}"


FEW = {  # outputs to many channels and filters: the weights are what takes time
    "2x2": ((1, 2, 2, 96), (3, 3, 96, 130), {"padding": "same"}),
    "4x4, strided": ((3, 8, 7, 130), (3, 3, 130, 64), {"padding": 1, "strides": 2}),
    "4x4, two Winograd tiles a block": ((1, 4, 4, 200), (3, 3, 200, 160), {"padding": "same"}),
    "1D": ((2, 7, 100), (5, 100, 71), {"padding": "causal"}),
    "3D": ((1, 3, 2, 4, 70), (3, 3, 3, 70, 96), {"padding": "same"}),
    "dilated past the map": ((1, 5, 5, 65), (3, 3, 65, 600), {"padding": 6, "dilation_rate": 6}),
}


@pytest.mark.parametrize("case", FEW)
def test_few_outputs_with_scale_bias_and_relu(case, isa, restore_threads):
    shape, kernel_shape, options = FEW[case]
    x, kernel = integers(shape, np.float32, 1), integers(kernel_shape, np.float32, 2)
    scale, bias = integers(kernel_shape[-1:], np.float32, 3), integers(kernel_shape[-1:], np.float32, 4)
    expected = np.maximum(reference.conv_forward(x, kernel * scale, bias, **options), 0)
    for name in set(names("forward", shape, kernel_shape, options)[0]):
        results = []
        for threads in (1, 2, 5):
            kernels.set_num_threads(threads)
            packs = kernels.Packs()
            for _ in range(2):  # the second call finds what is kept
                results.append(kernels.conv_forward(
                    x, kernel, bias, scale=scale, relu=True, packs=packs, algorithm=name, **options
                ))  # fmt: skip
        for result in results:
            np.testing.assert_array_equal(result, results[0], err_msg=name)
        if name.startswith("winograd"):
            np.testing.assert_allclose(results[0], expected, atol=1e-5 * np.abs(expected).max())
        else:
            np.testing.assert_array_equal(results[0], expected, err_msg=name)


def test_few_outputs_read_the_weights_once():
    assert kernels.explain((1, 2, 2, 512), (3, 3, 512, 512), padding="same")["forward"] == "streamed"
    window = Window.of((4, 4), (3, 3), padding="same")
    problem = algorithms.Problem("forward", window, 1, 384, 384, 1)
    assert algorithms.choose(problem, packed=True).name == "streamed"
    kept = [row for row in algorithms.candidates(problem, packed=True) if row.outputs and row.kept]
    assert [row.outputs for row in kept] == [(1, 2, 2)]  # of F(4x4) too large
    x, kernel = normal((1, 4, 4, 8), np.float32), normal((3, 3, 4, 8), np.float32)
    with pytest.raises(ValueError, match="scale must be None where there are groups; there are 2"):
        kernels.conv_forward(x, kernel, scale=np.ones(8, np.float32))


def test_explain_names_what_runs():
    found = kernels.explain((8, 56, 56, 64), (3, 3, 64, 64), padding="same")
    assert found["forward"].startswith("winograd F(4x4, 3x3)") and found["isa"] in kernels.build_info()["isas"]
    assert found["register_tile"] == "{} x {}".format(*kernels._tiles.register_tile())
    assert kernels.explain((8, 56, 56, 64), (3, 3, 1, 64))["backward_kernel"] == "depthwise"
    with pytest.raises(ValueError, match="x has 64 channels and kernel"):
        kernels.explain((8, 56, 56, 64), (3, 3, 3, 64))
    with pytest.raises(ValueError, match="'fast' cannot run this forward; of these shapes those can: direct"):
        kernels.conv_forward(normal((1, 5, 5, 2), np.float32), normal((3, 3, 2, 2), np.float32), algorithm="fast")
