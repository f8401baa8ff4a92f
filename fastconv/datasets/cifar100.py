"""CIFAR-100: 60,000 colour photographs of 100 classes in 20 groups, 32x32 (Krizhevsky), found or downloaded.

Not the images themselves: a table of where they are; `_cifar` reads them. Contract: `load_data()` returns exactly the
publisher's set, or raises. The sum is that which TensorFlow Datasets recorded of the publisher's binary archive (MD5, as
the publisher prints it: 03b5dce01913d631647c71ecec9e9cb8); it was never fetched where fastconv is developed.
"""

import numpy as np

from fastconv.datasets import _cifar, _files

CLASSES = tuple(
    """apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
    caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
    forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
    mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
    possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
    sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale
    willow_tree wolf woman worm""".split()
)
COARSE_CLASSES = tuple(
    """aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices household_furniture
    insects large_carnivores large_man-made_outdoor_things large_natural_outdoor_scenes large_omnivores_and_herbivores
    medium_mammals non-insect_invertebrates people reptiles small_mammals trees vehicles_1 vehicles_2""".split()
)
DATASET, COARSE_DATASET = (
    _cifar.dataset(
        "cifar100",
        classes,
        _cifar.Form("cifar-100-binary.tar.gz", "cifar-100-binary", ("train.bin", "test.bin")),
        _cifar.Form("cifar-100-python.tar.gz", "cifar-100-python", ("train", "test")),
        "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
        label,
    )
    for classes, label in ((100, (2, 1, b"fine_labels")), (20, (2, 0, b"coarse_labels")))
)


def load_data(label_mode: str = "fine") -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return `(x_train, y_train), (x_test, y_test)`, as `keras.datasets.cifar100.load_data()`.

    `x_train` is (50000, 32, 32, 3) and `x_test` (10000, 32, 32, 3), uint8 red, green and blue; `y_train` is (50000, 1) and
    `y_test` (10000, 1), uint8: of `label_mode` "fine" the classes from 0 to 99, whose names are `CLASSES`, of "coarse"
    their groups from 0 to 19, `COARSE_CLASSES`. The arrays are yours to change.

    Looks in the folder named by FASTCONV_DATA_DIR, and in `cifar100/` there (`cifar-100-binary.tar.gz`,
    `cifar-100-python.tar.gz`, or what they unpack to, `cifar-100-binary/` and `cifar-100-python/`; pickles are read
    without pickle), then in the user's cache, then downloads 169 MB over https into the cache. FASTCONV_OFFLINE=1
    forbids the download.

    Raises ValueError for another label_mode and when a file in FASTCONV_DATA_DIR is not the set's (it names the file),
    OSError when the set is nowhere to be had (it says what was tried and what to do).
    """
    if label_mode not in ("fine", "coarse"):
        raise ValueError(f"label_mode must be 'fine' or 'coarse'; got {label_mode!r}.")
    train, test = _files.load(DATASET if label_mode == "fine" else COARSE_DATASET)
    return train, test
