"""Two processes, of which the second ends in the middle of a fit, or before it, in the way that the argument says.

"patient" is none of these: the first process has a callback of its own, and goes on by itself for some seconds after the
second has left.
"""

import ctypes
import os
import signal
import sys
import time

import numpy as np
from telling import tell

from fastconv import Input, Sequential, distribution, layers
from fastconv.callbacks import Callback

distribution.initialize()
distribution.set_distribution(distribution.DataParallel())


class End(Callback):
    def on_train_batch_end(self, batch, logs=None):
        if distribution.rank() != 1 or batch != 1:
            return
        tell({"ends": time.time()})
        if sys.argv[1] == "raise":
            raise RuntimeError("a bad sector")
        if sys.argv[1] == "exit":
            sys.exit(3)
        if sys.argv[1] == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if sys.argv[1] == "crash":
            ctypes.string_at(0)
        if sys.argv[1] == "stop":
            self.model.stop_training = True


if distribution.rank() == 1 and sys.argv[1].endswith("before"):
    tell({"ends": time.time()})
    sys.exit(4 if sys.argv[1] == "exit before" else 0)
model = Sequential([Input((4,)), layers.Dense(2)])
model.compile("sgd", "mse")
callbacks = [] if sys.argv[1] == "patient" and distribution.rank() == 1 else [End()]
model.fit(np.zeros((64, 4), "float32"), np.zeros((64, 2), "float32"), batch_size=16, callbacks=callbacks, verbose=0)
if distribution.rank() == 0 and sys.argv[1] == "patient":
    time.sleep(6)
print("The end.")
