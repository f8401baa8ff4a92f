"""Files, under Keras' name: `fastconv.saving.load_model`, and the weights alone.

Not the format, which is modelfile.py's.
"""

from fastconv.modelfile import load_weights, save_model, save_weights
from fastconv.models import load_model

__all__ = ["load_model", "load_weights", "save_model", "save_weights"]
