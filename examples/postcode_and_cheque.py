"""
Reading a postcode and the amount on a cheque
=============================================

Post offices and banks were among the first to use convolutional networks. Their pictures hold no single digits: the
paper is uneven and noisy, hands slant, strokes break or touch. So the ink is cut into characters, a network reads each,
and what it is not sure of goes to a person. The pictures are made here, of digits that the network has never seen.
"""

import re

import numpy as np
from common import QUICK, digits, save
from matplotlib.figure import Figure

from fastconv import Sequential, layers, ops
from fastconv.utils import set_random_seed

set_random_seed(0)
rng = np.random.default_rng(0)
(x, y), (x_test, y_test) = digits()

# %%
# **The reader of single digits** also learns slanted, turned, shifted and resized ones.

model = Sequential([
    layers.Input((28, 28, 1)), layers.RandomShear(0.3), layers.RandomRotation(0.03),
    layers.RandomTranslation(0.06, 0.06), layers.RandomZoom(0.1),
    layers.Conv2D(16, 3, activation="relu"), layers.MaxPooling2D(2),
    layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(2), layers.Flatten(), layers.Dropout(0.4),
    layers.Dense(64, activation="relu"), layers.Dense(10, activation="softmax"),
])  # fmt: skip
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x, y, epochs=4 if QUICK else 25, verbose=0)
print(f"Accuracy on single digits: {model.evaluate(x_test, y_test, verbose=0)[1]:.3f}")

# %%
# **The pictures.** Each character is a test digit, at a height of its own, or a dot; one slant holds for a whole field.
# Then comes the paper: lit from one side, grained, with specks of dirt.


def written(text, height=44):
    """(height, width) picture of this text by hand, dark on light, from 0 to 1."""
    ink, left = np.zeros((height, 30 * len(text) + 20), "float32"), 10
    for sign in text:
        glyph = np.ones((3, 3)) if sign == "." else x_test[rng.choice(np.flatnonzero(y_test == int(sign))), ..., 0]
        glyph = glyph[:, glyph.any(axis=0)]
        top = 27 if sign == "." else rng.integers(4, 12)
        ink[top : top + len(glyph), left : left + glyph.shape[1]] += glyph
        left += glyph.shape[1] + rng.integers(3, 9)
    slant = rng.uniform(-0.2, 0.2)
    moved = ops.image.affine_transform(ink[..., None], [1, slant, -slant * height / 2, 0, 1, 0, 0, 0])
    paper = np.linspace(*rng.uniform(0.7, 0.9, 2), ink.shape[1]) - 0.3 * (rng.random(ink.shape) < 0.004)
    return np.clip(paper - 0.6 * moved.numpy()[..., 0] + 0.05 * rng.standard_normal(ink.shape), 0, 1)[:, : left + 10]


# %%
# **Cut.** Cells clearly darker than the paper are ink. Ink that touches is one character, over gaps of 2 rows too, as
# in a broken 5: every cell takes the largest number around it, until none changes. Less than 6 cells are dirt.
#
# **Read.** Each character is brought to the form of MNIST's: 20 cells in its longer direction, its centre of mass in
# the middle of 28 x 28. A field is right only if all of its digits are: its confidence is their probabilities' product.


def read(image, form):
    """What is written, the confidence (0 if it has not this form), and each character's (top, bottom, left, right)."""
    ink = np.clip((np.median(image, axis=0) - image) / 0.6, 0, 1).astype("float32")
    dark = ops.image.gaussian_blur(ink[..., None]).numpy()[..., 0] > 0.3
    number, before = dark * np.arange(1, dark.size + 1, dtype="float32").reshape(dark.shape), None
    while before is None or (number != before).any():
        before = number
        number = dark * ops.max_pool(number[None, ..., None], (7, 3), 1, "same").numpy()[0, ..., 0]
    places = [np.nonzero(number == piece) for piece in np.unique(number)[1:]]
    boxes = [(r.min(), r.max() + 1, c.min(), c.max() + 1) for r, c in places if len(r) >= 6]
    text, confidence, boxes = "", 1.0, sorted(boxes, key=lambda box: box[2])
    for top, bottom, left, right in boxes:
        size = max(bottom - top, right - left)
        if size < 8:
            text += "."
            continue
        glyph = np.pad(ink[top:bottom, left:right], ((0, 28), (0, 28)))
        row, column = (np.indices(glyph.shape) * glyph).sum(axis=(1, 2)) / glyph.sum()
        place = [size / 20, 0, column - 14 * size / 20, 0, size / 20, row - 14 * size / 20, 0, 0]
        cell = ops.image.affine_transform(glyph[..., None] / glyph.max(), place)[:28, :28]
        chances = model.predict(cell[None], verbose=0)[0]
        text, confidence = text + str(chances.argmax()), confidence * float(chances.max())
    return text, confidence * bool(re.fullmatch(form, text)), boxes


# %%
# **Be sure or refuse.** A postcode has five digits, an amount two after its dot. A field of another form, or with a
# confidence below the limit, goes to a person. The limit is a bargain: without one, 88 % of the fields are read right;
# at 0.9, some 40 % go to a person, and little more than 1 % are read wrong.

codes = [f"{rng.integers(0, 100000):05}" for _ in range(10 if QUICK else 300)]
texts = codes + [f"{rng.integers(100, 300000) / 100:.2f}" for _ in codes]
images = [written(text) for text in texts]
answers = [read(image, r"\d+\.\d\d" if "." in text else r"\d{5}") for image, text in zip(images, texts)]
figure = Figure(figsize=(10, 6), layout="constrained")
for ax, i in zip(figure.subplots(5, 4).flat, [*range(10), *range(len(codes), len(codes) + 10)]):
    text, confidence, boxes = answers[i]
    verdict = "to a person" if confidence < 0.9 else "right" if text == texts[i] else "WRONG"
    ax.imshow(images[i], cmap="gray", vmin=0, vmax=1)
    for top, bottom, left, right in boxes:
        ax.plot([left, right, right, left, left], [top, top, bottom, bottom, top], color="#d55e00", linewidth=1)
    ax.set(title=f"{text} ({confidence:.2f}): {verdict}", xticks=[], yticks=[])
figure.suptitle("Postcodes and amounts as they were read, with the confidence, and what becomes of them")
save(figure, "postcodes_and_amounts.png")

wrong, sure = np.array([(answer[0] != text, answer[1]) for answer, text in zip(answers, texts)]).T
for kind, part in {"postcodes": wrong[: len(codes)], "amounts": wrong[len(codes) :]}.items():
    print(f"{len(part)} {kind}: {1 - part.mean():.1%} read right")
for limit in (0.5, 0.9, 0.99):
    print(f"limit {limit}: {(sure < limit).mean():.1%} to a person, {(wrong * (sure >= limit)).mean():.1%} read wrong")
figure = Figure(figsize=(5.5, 3.4), layout="constrained")
ax, person = figure.subplots(), np.arange(len(sure)) / len(sure)
ax.plot(person, wrong[np.argsort(sure)][::-1].cumsum()[::-1] / len(sure), color="#0072b2")
ax.set(title="The more goes to a person, the less is wrong", xlabel="share to a person", ylabel="share read wrong")
save(figure, "postcode_limits.png")
