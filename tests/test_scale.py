"""What `python -m benchmarks scale` measures by, without a launcher: its model, the relay that delays packets, and,
where this is root on Linux, the cable that is made of it."""

import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest

with pytest.MonkeyPatch.context() as patch:  # benchmarks are no package that is installed
    patch.syspath_prepend(pathlib.Path(__file__).parent.parent)
    from benchmarks import cables, scale

PACKET = struct.Struct("id")  # its number, and when it was sent
linux = pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")


class Line:
    """A relay between two pairs of sockets that keep packets apart, as tun devices do: what is sent into `ends[0]` comes
    out of `ends[1]`, and the other way."""

    def __init__(self, delay, **more):
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2)]
        self.ends, self.far = zip(*pairs)
        for end in self.ends:
            end.settimeout(30)
        files = [end.fileno() for end in self.far]
        self.thread = threading.Thread(target=cables.relay, args=(*files, delay), kwargs=more, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for end in self.ends:
            end.close()
        self.thread.join(30)
        for end in self.far:
            end.close()

    def send(self, side, numbers):
        for number in numbers:
            self.ends[side].send(PACKET.pack(number, time.monotonic()))

    def receive(self, side, count):
        """(number, when it was sent, when it came) of so many packets."""
        packets = []
        for _ in range(count):
            number, sent = PACKET.unpack(self.ends[side].recv(PACKET.size))
            packets.append((number, sent, time.monotonic()))
        return packets


@linux
def test_the_relay_keeps_order_and_delays_both_ways_at_once():
    with Line(delay=0.01) as line:
        for start in range(0, 100, 20):
            line.send(0, range(start, start + 20))
            line.send(1, range(start, start + 20))
            time.sleep(0.002)  # so that some come while others are under way
        for side in (0, 1):
            packets = line.receive(side, 100)
            assert [number for number, _, _ in packets] == list(range(100))
            assert all(came - sent >= 0.01 for _, sent, came in packets)


@linux
def test_a_full_relay_reads_no_more():
    """One packet under way at a time: each waits for all before it."""
    with Line(delay=0.01, waiting=1) as line:
        line.send(0, range(6))
        packets = line.receive(1, 6)
    first = packets[0][1]
    assert all(came - first >= (number + 1) * 0.01 for number, _, came in packets)


@linux
@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("waiting", [0, 5])
def test_the_relay_ends_when_an_end_is_closed(side, waiting):
    """Also while packets are under way to it."""
    with Line(delay=0.05) as line:
        line.send(1 - side, range(waiting))
        line.ends[side].close()
        line.thread.join(30)
        assert not line.thread.is_alive()


ECHO = """
import socket
with socket.create_server(("", 7777)) as server:
    print("ready", flush=True)
    line, _ = server.accept()
    line.send(line.recv(10))
"""
ASK = """
import socket, sys, time
with socket.create_connection((sys.argv[1], 7777), timeout=30) as line:
    start = time.monotonic()
    line.send(b"?")
    line.recv(10)
    print(time.monotonic() - start)
"""


@pytest.fixture
def namespaces():
    if not (sys.platform == "linux" and os.geteuid() == 0 and shutil.which("ip") and os.path.exists("/dev/net/tun")):
        pytest.skip("needs Linux, root, the program ip and /dev/net/tun")
    name = f"fastconvtest{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", name], capture_output=True).returncode:
        pytest.skip("this root may make no network namespaces")
    subprocess.run(["ip", "netns", "del", name], check=True)


def test_a_cable_delays_what_goes_there_and_back_and_is_gone_afterwards(namespaces):
    with cables.joined(delay=0.02) as (names, delayed):
        assert delayed
        a, b = (["ip", "netns", "exec", name, sys.executable, "-c"] for name in names)
        with subprocess.Popen([*a, ECHO], stdout=subprocess.PIPE) as echo:
            assert echo.stdout.readline() == b"ready\n"
            answer = subprocess.run([*b, ASK, cables.ADDRESSES[0]], capture_output=True, text=True, timeout=60)
            echo.kill()
        assert float(answer.stdout) >= 0.04, answer.stderr
    there = subprocess.run(["ip", "netns"], capture_output=True, text=True).stdout
    assert not set(names) & set(there.split())


def test_a_command_that_fails_says_why():
    with pytest.raises(ValueError, match="no_such_module"):
        cables.run(f"{sys.executable} -m no_such_module")


# The model


@pytest.mark.parametrize("size", [2048, scale.EAGER, 1 << 24])
def test_the_model_is_what_was_fitted(size):
    """Of sums over two processes, short messages of one alpha and long ones of three."""
    found = {8: scale.exchange(2, 8, 1e-3, 1e-9), size: scale.exchange(2, size, 1e-3, 1e-9)}
    assert scale.fitted(found) == pytest.approx((1e-3, 1e-9), rel=0.01)


def test_fitted_bytes_cost_nothing_where_the_largest_was_quickest():
    assert scale.fitted({8: 1e-3, 1 << 24: 1e-4}) == (1e-3, 0.0)


@pytest.mark.parametrize(
    "processes, size, expected",
    [
        (1, 1 << 20, 0.0),
        (8, 1 << 10, 3 * (1 + 1024)),  # whole vectors
        (4, 1 << 16, 2 * (1 + (1 << 15)) + 2 * (1 + (1 << 14))),  # halves, there and back
        (4, 1 << 20, 2 * (3 + (1 << 19)) + 2 * (3 + (1 << 18))),
    ],
)
def test_messages_of_a_sum(processes, size, expected):
    """With one second a message and a byte."""
    assert scale.exchange(processes, size, 1.0, 1.0) == expected


def test_a_process_that_is_ahead_has_no_quicker_rounds():
    """One second ahead of the other, where rounds take one second: 0, 2, 0, 2 seconds."""
    assert scale.quickest([0.0, 0.0, 2.0, 2.0, 4.0]) == 1.0


def test_costs_are_those_that_the_steps_were_made_of():
    rows = [(shards, samples, 0.5 + 0.2 * shards + 0.01 * samples) for shards in (1, 4) for samples in (16, 64, 256)]
    assert scale.costs(rows) == pytest.approx([0.5, 0.2, 0.01])
    free = [(shards, samples, 0.01 * samples - 1e-4 * shards) for shards, samples, _ in rows]  # none is below 0
    assert scale.costs(free)[1] == 0.0


def test_a_predicted_step_is_its_shards_and_its_sums():
    """Half of four shards and 64 samples, one message for eight bytes."""
    assert scale.predicted(2, 4, 64, (0.5, 0.2, 0.01), [8], (2.0, 0.0)) == pytest.approx(0.5 + 0.4 + 0.32 + 2.0)
