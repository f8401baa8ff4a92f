"""Which algorithm a convolution runs on: the one place where that is chosen, from shapes alone, with no timing.

- "direct": csrc/conv_forward.c and conv_backward_kernel.c; any shape.
- "depthwise": csrc/depthwise.c; one filter for each channel, vectors over the channels.
"""


def conv_algorithm(channels: int, filters: int, groups: int) -> str:
    """The algorithm for all three passes of a convolution with these channels, filters and groups in all."""
    return "depthwise" if groups == channels == filters and groups > 1 else "direct"
