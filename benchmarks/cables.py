"""Cables: two network namespaces of this machine, joined by a link as slow or as far as is asked for.

Not here: what is sent over them (scale.py). Needs Linux, root and the programs `ip` and `tc`. Contract: what `joined`
makes is gone when it is left, also by an error; what cannot be made is a ValueError or OSError that says why. A delay is
`tc netem`'s where the kernel has it. Elsewhere it is a relay of our own, a thread that carries packets between two tun
devices, one in each namespace. Only the standard library is needed, so that tests can load this file.
"""

from __future__ import annotations

import collections
import contextlib
import os
import select
import struct
import subprocess
import threading
import time

NETWORK, ADDRESSES = "10.77.0.0/24", ("10.77.0.1", "10.77.0.2")
MTU = 65000  # bytes of a packet over the relay: as many as go, since each costs it the same
WAITING = 1000  # packets on their way in one direction, past which the relay reads no more


@contextlib.contextmanager
def joined(limit=None, delay=0.0):
    """(names of the two namespaces, in which ADDRESSES are; what delays packets, or "").

    Either `limit`, a bandwidth as `tc` reads it ("1gbit"), or `delay`, the seconds from one to the other."""
    names = [f"fastconv{os.getpid()}{side}" for side in "ab"]
    devices = [f"fc{os.getpid() % 100000}{side}" for side in "ab"]
    with contextlib.ExitStack() as stack:
        for name in names:
            run(f"ip netns add {name}")
            stack.callback(subprocess.run, ["ip", "netns", "del", name], capture_output=True)
            run(f"ip -n {name} link set lo up")
        netem = delay and _has_netem(names[0])
        relayed = delay and not netem
        if relayed:
            ends = [_tun(*there, stack) for there in zip(names, devices)]
        else:
            run(f"ip -n {names[0]} link add {devices[0]} type veth peer name {devices[1]} netns {names[1]}")
        for name, device, address in zip(names, devices, ADDRESSES):
            if limit:
                run(f"tc -n {name} qdisc add dev {device} root tbf rate {limit} burst 256k latency 50ms")
            if netem:
                run(f"tc -n {name} qdisc add dev {device} root netem delay {delay * 1e6:.0f}us limit {WAITING}")
            run(f"ip -n {name} addr add {address}/24 dev {device}")
            run(f"ip -n {name} link set {device} up")
        if relayed:
            thread = threading.Thread(target=relay, args=(*ends, delay))
            thread.start()
            stack.callback(thread.join)
            stack.callback(run, f"ip -n {names[0]} link del {devices[0]}")  # which ends the relay
        yield names, "tc netem" if netem else "a relay between tun devices" if relayed else ""


def relay(first, second, delay, waiting=WAITING):
    """Carries packets between two file descriptors, both ways, until one of them is closed at its other end.

    Each is written `delay` seconds after it was read, or later, in the order in which they came. Past `waiting` packets
    of one direction nothing is read there. It sleeps while there is nothing to do; what is under way at the end is
    lost."""
    other, queues = {first: second, second: first}, {first: collections.deque(), second: collections.deque()}
    while True:
        due = [queue[0][0] for queue in queues.values() if queue]
        timeout = max(min(due) - time.monotonic(), 0) if due else None
        ready, _, _ = select.select([end for end in queues if len(queues[end]) < waiting], [], [], timeout)
        try:
            for end in ready:
                packet = os.read(end, 1 << 16)
                if not packet:
                    return
                queues[end].append((time.monotonic() + delay, packet))
            for end, queue in queues.items():
                while queue and queue[0][0] <= time.monotonic():
                    os.write(other[end], queue.popleft()[1])
        except OSError:  # the device, or who read the other end, is gone
            return


def run(command):
    """ValueError with what the command said, where it fails."""
    result = subprocess.run(command.split(), capture_output=True, text=True)
    if result.returncode:
        raise ValueError(f"{command}: {result.stderr.strip()}")


def _has_netem(name):
    """Whether this kernel delays packets by itself; tried in the namespace `name`."""
    try:
        run(f"tc -n {name} qdisc add dev lo root netem delay 1ms")
    except ValueError:
        return False
    run(f"tc -n {name} qdisc del dev lo root")
    return True


def _tun(name, device, stack):
    """A file descriptor from which packets are read that go to a new device in the namespace `name`, and to which those
    are written that come from it; `stack` closes it."""
    import fcntl

    end = os.open("/dev/net/tun", os.O_RDWR)
    stack.callback(os.close, end)
    set_name, tun, bare_packets = 0x400454CA, 0x0001, 0x1000  # TUNSETIFF, IFF_TUN, IFF_NO_PI of linux/if_tun.h
    fcntl.ioctl(end, set_name, struct.pack("16sH22x", device.encode(), tun | bare_packets))
    run(f"ip link set {device} mtu {MTU} netns {name}")
    return end
