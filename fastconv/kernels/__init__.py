"""The kernels: NumPy arrays in, new arrays out, no tape. Convolution, dense, pooling, normalization, arithmetic,
reductions, activations, recurrent layers, data movement, random numbers, loss, updates.

Every function checks its arguments, allocates its result on the caching allocator and runs compiled tiles: see
conv.py, pool.py, norm.py, rows.py, maps.py, moves.py, image.py, random.py, recurrence.py and update.py for their contracts, reference.py for what each computes. float32 and
float64, channels last.
"""

import os

# How long a waiting OpenMP thread spins before it sleeps is read once, when GCC's runtime loads. Its default of some
# milliseconds starves the threads that it waits for where other programs keep the processors busy; 20,000 turns are
# longer than the pauses between the kernels of a training step. The user's own setting stands.
_bound_spin = not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys()
if _bound_spin:
    os.environ["GOMP_SPINCOUNT"] = "20000"
from ._memory import cached_bytes, empty_cache
from ._tiles import (
    Plan,
    build_info,
    cannot_be_repeated,
    get_num_threads,
    note_change,
    records_plan,
    replay_side_by_side,
    set_num_threads,
    settings_version,
    usable_processors,
    use_isa,
    version,
)

if _bound_spin:
    del os.environ["GOMP_SPINCOUNT"]
from .algorithms import get_precision, set_precision
from .arrays import broadcast_shape, empty, readable
from .conv import (
    conv_backward_input,
    conv_backward_kernel,
    conv_forward,
    conv_geometry,
    conv_transpose_geometry,
    explain,
)
from .conv_pool import conv_pool_backward_bias, conv_pool_backward_input, conv_pool_backward_kernel, conv_pool_forward
from .dense import (
    dense_backward_input,
    dense_backward_kernel,
    dense_forward,
    matmul_backward_a,
    matmul_backward_b,
    matmul_forward,
)
from .geometry import Window
from .image import (
    color_histogram,
    color_matrix,
    color_scale,
    color_table,
    color_turn,
    resample,
    warp_backward,
    warp_forward,
)
from .maps import MAPS, add_into, combine, map_backward, map_forward, reduce, reduce_products
from .moves import (
    broadcast_backward,
    broadcast_forward,
    concatenate_backward,
    concatenate_forward,
    flip,
    fold,
    get_item_backward,
    get_item_forward,
    one_hot,
    pad_backward,
    pad_forward,
    repeat_backward,
    repeat_forward,
    resize_backward,
    resize_forward,
    take_backward,
    take_forward,
    tile_backward,
    tile_forward,
    transpose,
)
from .norm import (
    batch_norm_backward,
    batch_norm_fold,
    batch_norm_forward,
    batch_norm_inference_backward,
    batch_norm_inference_forward,
    batch_norm_shape,
    batch_norm_update,
    group_norm_backward,
    group_norm_forward,
    group_norm_shape,
    layer_norm_backward,
    layer_norm_forward,
    layer_norm_shape,
    rms_norm_backward,
    rms_norm_forward,
    scale_shift_forward,
)
from .packs import Packs
from .pool import (
    adaptive_average_pool_backward,
    adaptive_average_pool_forward,
    adaptive_max_pool_backward,
    adaptive_max_pool_forward,
    average_pool_backward,
    average_pool_forward,
    global_average_pool_backward,
    global_average_pool_forward,
    global_max_pool,
    global_max_pool_backward,
    global_max_pool_forward,
    max_pool_backward,
    max_pool_forward,
    pool_geometry,
)
from .random import dropout_backward, dropout_forward, random_normal, random_uniform
from .recurrence import ACTIVATIONS, recurrence_backward, recurrence_forward
from .rows import (
    bias_backward,
    bias_forward,
    log_softmax_backward,
    log_softmax_forward,
    relu_backward,
    relu_forward,
    softmax_backward,
    softmax_crossentropy_backward,
    softmax_crossentropy_forward,
    softmax_forward,
)
from .update import adam_step, sgd_step, update_step

__all__ = [name for name in dir() if not name.startswith("_") and name != "os"]
