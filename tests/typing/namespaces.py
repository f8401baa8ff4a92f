"""Settings, trees, random numbers and configs, for type checkers."""

import numpy as np

from fastconv import backend, config, initializers, random, saving, tree, utils


def settings() -> str:
    config.set_epsilon(config.epsilon())
    policy = config.DTypePolicy("float32")
    return f"{config.floatx()} {backend.image_data_format()} {policy.name} {backend.result_type('int8', float)}"


def numbers(seed: int) -> float:
    source = random.SeedGenerator(seed)
    x = random.normal((3, 4), stddev=2.0, seed=source) + random.gamma((3, 4), 2.0)
    kernel = np.asarray(initializers.HeNormal(seed=1)((3, 3, 1, 8)))
    first, second = utils.split_dataset(np.arange(10), left_size=0.8)
    leaves = tree.flatten({"x": x, "parts": [first, second]})
    return float(x.mean()) + float(kernel.sum()) + len(leaves)


def round_trip(name: str) -> object:
    with saving.custom_object_scope({"own": abs}):
        return saving.deserialize_keras_object(saving.serialize_keras_object([name, (1, 2), {"a": None}]))


def run(path: str) -> None:
    print(settings(), numbers(3), round_trip(path))
