"""Fixtures: `isa` runs a test once on each instruction set of this machine, `exact` without Winograd."""

import signal

import pytest

from fastconv import kernels


@pytest.fixture(params=kernels.build_info()["isas"])
def isa(request):
    before = kernels.use_isa(request.param)
    yield request.param
    kernels.use_isa(before)


@pytest.fixture
def restore_threads():
    """Puts the number of threads back."""
    before = kernels.get_num_threads()
    yield
    kernels.set_num_threads(before)


@pytest.fixture
def exact():
    """Convolutions sum their products directly, so that integer-valued data gives exact results."""
    before = kernels.set_precision("exact")
    yield
    kernels.set_precision(before)


@pytest.fixture(autouse=True, scope="session")
def ctrl_c():
    """A shell that runs the tests in the background has Ctrl-C ignored; some tests send it."""
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
