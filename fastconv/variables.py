"""Variable, as Keras calls a layer's weight: tensor.py's Parameter, to which this gives the names of initializers.

Contract: `fastconv.Variable` is `Parameter`, so every weight of every layer is one.
"""

from fastconv import initializers
from fastconv.tensor import Parameter as Variable

__all__ = ["Variable"]

Variable.named_initializer = staticmethod(initializers.get)
