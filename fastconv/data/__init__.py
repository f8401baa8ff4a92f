"""fastconv.data: data on its way into training.

`Dataset` is a pipeline of batches, `PyDataset` a data set of the user's own by batch number. What reads folders, images
and series stands here too, and under Keras' names in `fastconv.utils`. Nothing here computes: layers and ops do.
"""

from fastconv.absent import explain as _explain
from fastconv.data.dataset import Dataset
from fastconv.data.pydataset import PyDataset

__all__ = ["Dataset", "PyDataset"]

_explain(__name__, __all__)
