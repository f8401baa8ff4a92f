"""MedMNIST v2 and MedMNIST+: 18 sets of medical images and volumes (Yang et al., CC BY), found or downloaded.

Not the images themselves: a table, after the publisher's `info.py` 3.0.2, of what they must look like and of the MD5 sums
that it prints, which find damage, not malice; the files were never fetched where fastconv is developed. Contract:
`load_data` returns the three parts of exactly that release, or raises; no file runs code (no pickled arrays are read).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastconv.datasets import _files, _formats

SIZES = (28, 64, 128, 224)


class Info(NamedTuple):
    """One set: images in each part, channels, axes of space, the classes' names, MD5 by size, labels a sample."""

    counts: tuple[int, int, int]
    channels: int
    rank: int
    classes: tuple[str, ...]
    md5: tuple[str, ...]
    labels: int = 1


def _row(counts, channels, rank, classes, md5, labels=1):
    return Info(counts, channels, rank, tuple(classes.split("; ")), tuple(md5.split()), labels)


_ORGANS = (
    "bladder; femur-left; femur-right; heart; kidney-left; kidney-right; liver; lung-left; lung-right; pancreas; spleen"
)
INFO = {
    "pathmnist": _row(
        (89996, 10004, 7180), 3, 2,
        "adipose; background; debris; lymphocytes; mucus; smooth muscle; normal colon mucosa; cancer-associated stroma; "
        "colorectal adenocarcinoma epithelium",
        "a8b06965200029087d5bd730944a56c1 55aa9c1e0525abe5a6b9d8343a507616 ac42d08fb904d92c244187169d1fd1d9 "
        "2c51a510bcdc9cf8ddb2af93af1eadec",
    ),
    "chestmnist": _row(
        (78468, 11219, 22433), 1, 2,
        "atelectasis; cardiomegaly; effusion; infiltration; mass; nodule; pneumonia; pneumothorax; consolidation; edema; "
        "emphysema; fibrosis; pleural; hernia",
        "02c8a6516a18b556561a56cbdd36c4a8 9de6cd0b934ebb5b7426cfba5efbae16 db107e5590b27930b62dbaf558aebee3 "
        "45bd33e6f06c3e8cdb481c74a89152aa",
        labels=14,
    ),
    "dermamnist": _row(
        (7007, 1003, 2005), 3, 2,
        "actinic keratoses and intraepithelial carcinoma; basal cell carcinoma; benign keratosis-like lesions; "
        "dermatofibroma; melanoma; melanocytic nevi; vascular lesions",
        "0744692d530f8e62ec473284d019b0c7 b70a2f5635c6199aeaa28c31d7202e1f 2defd784463fa5243564e855ed717de1 "
        "8974907d8e169bef5f5b96bc506ae45d",
    ),
    "octmnist": _row(
        (97477, 10832, 1000), 1, 2, "choroidal neovascularization; diabetic macular edema; drusen; normal",
        "c68d92d5b585d8d81f7112f81e2d0842 e229e9440236b774d9f0dfef9d07bdaf 0a97e76651ace45c5d943ee3f65b63ae "
        "abc493b6d529d5de7569faaef2773ba3",
    ),
    "pneumoniamnist": _row(
        (4708, 524, 624), 1, 2, "normal; pneumonia",
        "28209eda62fecd6e6a2d98b1501bb15f 8f4eceb4ccffa70c672198ea285246c6 05b46931834c231683c68f40c47b2971 "
        "d6a3c71de1b945ea11211b03746c1fe1",
    ),
    "retinamnist": _row(
        (1080, 120, 400), 3, 2, "0; 1; 2; 3; 4",
        "bd4c0672f1bba3e3a89f0e4e876791e4 afda852cc34dcda56f86ad2b2457dbcc e48e916a24454daf90583d4e6efb1a18 "
        "eae7e3b6f3fcbda4ae613ebdcbe35348",
    ),
    "breastmnist": _row(
        (546, 78, 156), 1, 2, "malignant; normal, benign",
        "750601b1f35ba3300ea97c75c52ff8f6 742edef2a1fd1524b2efff4bd7ba9364 363e4b3f8d712e9b5de15470a2aaadf1 "
        "b56378a6eefa9fed602bb16d192d4c8b",
    ),
    "bloodmnist": _row(
        (11959, 1712, 3421), 3, 2,
        "basophil; eosinophil; erythroblast; immature granulocytes; lymphocyte; monocyte; neutrophil; platelet",
        "7053d0359d879ad8a5505303e11de1dc 2b94928a2ae4916078ca51e05b6b800b adace1e0ed228fccda1f39692059dd4c "
        "b718ff6835fcbdb22ba9eacccd7b2601",
    ),
    "tissuemnist": _row(
        (165466, 23640, 47280), 1, 2,
        "Collecting Duct, Connecting Tubule; Distal Convoluted Tubule; Glomerular endothelial cells; Interstitial "
        "endothelial cells; Leukocytes; Podocytes; Proximal Tubule Segments; Thick Ascending Limb",
        "ebe78ee8b05294063de985d821c1c34b 123ece2eba09d0aa5d698fda57103344 61b955355d7425a89687b06cca3ce0c2 "
        "b077128c4a949f0a4eb01517f9037b9c",
    ),
    "organamnist": _row(
        (34561, 6491, 17778), 1, 2, _ORGANS,
        "68e3f8846a6bd62f0c9bf841c0d9eacc 2dcccc29b88e6da5a01161ef20cda288 eeae80d0a227a8d099027e1b3cfd3b60 "
        "50747347e05c87dd3aaf92c49f9f3170",
    ),
    "organcmnist": _row(
        (12975, 2392, 8216), 1, 2, _ORGANS,
        "b9ceb9546e10131b32923c5bbeaea2b1 3ce34a8724ea6f548e6db4744d03b6a9 773c1f009daa3fe5d9a2a201b2a7ed94 "
        "050f5e875dc056f6768abf94ec9995d1",
    ),
    "organsmnist": _row(
        (13932, 2452, 8827), 1, 2, _ORGANS,
        "9ab87b696fb54e2a387ebe992d6ed5f1 53a6d115339d874c25e309a994ff46d3 ded0c5fa01a95dc4978b956f613e9b8e "
        "b354719e553fbbb2513d5533f52a4cb1",
    ),
    "organmnist3d": _row(
        (971, 161, 610), 1, 3,
        "liver; kidney-right; kidney-left; femur-right; femur-left; bladder; heart; lung-right; lung-left; spleen; pancreas",
        "a0c5a1ff56af4f155c46d46fbb45a2fe 58a2205adf14a9d0a189cb06dc78bf10",
    ),
    "nodulemnist3d": _row(
        (1158, 165, 310), 1, 3, "benign; malignant",
        "8755a7e9e05a4d9ce80a24c3e7a256f3 c47c5b7d457bf6332200d2ea6d64ecd8",
    ),
    "adrenalmnist3d": _row(
        (1188, 98, 298), 1, 3, "normal; hyperplasia",
        "bbd3c5a5576322bc4cdfea780653b1ce 17721accfe9fb005146a47d33bc54b2f",
    ),
    "fracturemnist3d": _row(
        (1027, 103, 240), 1, 3, "buckle rib fracture; nondisplaced rib fracture; displaced rib fracture",
        "6aa7b0143a6b42da40027a9dda61302f f01d7e6316aedf4210da0da5b7437b42",
    ),
    "vesselmnist3d": _row(
        (1335, 191, 382), 1, 3, "vessel; aneurysm",
        "b41fd4f7e7e2feedddb201585ecafa1b 6bb274a8846e1097066dcd64e2c4520f",
    ),
    "synapsemnist3d": _row(
        (1230, 177, 352), 1, 3, "inhibitory synapse; excitatory synapse",
        "1235b78a3cd6280881dd7850a78eadb6 43bd14ebf3af9d3dd072446fedc14d5e",
    ),
}  # fmt: skip


def load_data(
    name: str, size: int = 28
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return `(x_train, y_train), (x_val, y_val), (x_test, y_test)` of one of the sets in `INFO`.

    name: such as "pathmnist" or "organmnist3d". size: of each axis, 28, 64, 128 or 224; volumes have 28 and 64.
    Images are (n, size, size), or (n, size, size, 3) in colour, volumes (n, size, size, size); uint8 from 0 to 255. Labels
    are (n, 1), uint8 numbers of `INFO[name].classes`; chestmnist's (n, 14), a 0 or 1 for each. The arrays are yours to
    change.

    Looks in the folder named by FASTCONV_DATA_DIR, and in `medmnist/` there, for `pathmnist.npz`, or `pathmnist_64.npz`
    for size 64; then in the user's cache; then downloads it over https into the cache, which takes up to 12 GB at size
    224. FASTCONV_OFFLINE=1 forbids the download.

    Raises ValueError for an unknown name or size and when a file in FASTCONV_DATA_DIR is not the set's (it names the
    file), OSError when the set is nowhere to be had (it says what was tried and what to do).
    """
    train, validation, test = _files.load(dataset(name, size))
    return train, validation, test


def dataset(name: str, size: int = 28) -> _files.Dataset:
    """The table of a set. ValueError for an unknown name or size."""
    if name not in INFO:
        raise ValueError(f"name {name!r} is unknown. {_files.near(name, INFO)}There are {', '.join(INFO)}.")
    info = INFO[name]
    sizes = SIZES[: len(info.md5)]
    if size not in sizes:
        raise ValueError(f"size of {name} must be one of {', '.join(map(str, sizes))}; got {size!r}.")
    sample = (size,) * info.rank + (3,) * (info.channels == 3)
    shapes = {}
    for part, count in zip(("train", "val", "test"), info.counts):
        shapes |= {f"x_{part}": (count, *sample), f"y_{part}": (count, info.labels)}
    file = name if size == 28 else f"{name}_{size}"
    address = f"https://zenodo.org/records/10519652/files/{file}.npz?download=1"
    source = _files.Source(address, info.md5[sizes.index(size)])
    classes = len(info.classes) if info.labels == 1 else 2
    return _files.Dataset("medmnist", shapes, classes, ((source,),), _read)


def _read(dataset, files):
    """The arrays of one .npz file, which calls them train_images, train_labels and so on."""
    (file,) = files
    theirs = {f"{key[2:]}_{'images' if key[0] == 'x' else 'labels'}": key for key in dataset.shapes}
    shapes = {name: dataset.shapes[key] for name, key in theirs.items()}
    labels = [name for name in theirs if name.endswith("labels")]
    found = _formats.read_npz(file.content, shapes, file.name, labels)
    return {theirs[name]: array for name, array in found.items()}
