"""What a bug report needs to know about this installation: the text behind `fastconv info`.

Not telemetry: nothing is sent, no path and no user name is in it.
Contract: `report()` returns lines of `name: value` and works wherever `import fastconv.kernels` does.
"""

import os
import platform

ENVIRONMENT = ("FASTCONV_ISA", "OMP_NUM_THREADS")  # settings that change how kernels run


def report():
    """Return the report as one string, a `name: value` pair on each line."""
    import numpy as np

    from fastconv import __version__, kernels

    build = kernels.build_info()
    rows = {
        "fastconv": __version__,
        "Python": f"{platform.python_version()} ({platform.python_implementation()})",
        "NumPy": np.__version__,
        "OS": platform.platform(),
        "CPU": f"{cpu_model()} ({os.cpu_count()} logical)",
        "ISA": f"{build['isa']} (available: {', '.join(build['isas'])})",
        "threads": kernels.get_num_threads(),
        "OpenMP": build["openmp"] or "none (built without OpenMP: kernels run on one thread)",
        "compiler": build["compiler"],
        "environment": " ".join(f"{name}={os.environ[name]}" for name in ENVIRONMENT if name in os.environ)
        or "none of " + ", ".join(ENVIRONMENT),
    }
    width = max(map(len, rows)) + 1
    return "\n".join(f"{name + ':':<{width}} {value}" for name, value in rows.items())


def cpu_model() -> str:
    """The processor's name, as the operating system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass  # no Linux
    return platform.processor() or platform.machine()
