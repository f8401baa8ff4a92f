"""A DCGAN as a model with a training step of its own: two networks, two optimizers. Score: how near the pictures' mean is."""

import numpy as np
from made import shapes

import fastconv
from fastconv import layers, ops


class GAN(fastconv.Model):
    def __init__(self, critic, painter, size):
        super().__init__()
        self.critic, self.painter, self.size = critic, painter, size
        self.seed = fastconv.random.SeedGenerator(1)
        self.critic_loss, self.painter_loss = fastconv.metrics.Mean("critic"), fastconv.metrics.Mean("painter")

    def compile(self, critic_optimizer, painter_optimizer, loss):
        super().compile()
        self.critic_optimizer, self.painter_optimizer, self.loss_of = critic_optimizer, painter_optimizer, loss

    @property
    def metrics(self):
        return [self.critic_loss, self.painter_loss]

    def call(self, codes):
        return self.painter(codes)

    def step(self, network, optimizer, loss):
        network.zero_grad()
        loss.backward()
        optimizer.apply([weight.grad for weight in network.trainable_variables], network.trainable_variables)
        return loss

    def train_step(self, real):
        count = len(real)
        codes = fastconv.random.normal((count, self.size), seed=self.seed)
        pictures = ops.concatenate([ops.stop_gradient(self.painter(codes, training=True)), real], axis=0)
        truth = ops.concatenate([ops.zeros((count, 1)), ops.ones((count, 1))], axis=0)
        scores = self.critic(pictures, training=True)
        self.critic_loss.update_state(self.step(self.critic, self.critic_optimizer, self.loss_of(truth, scores)))

        scores = self.critic(self.painter(codes, training=True), training=True)
        loss = self.loss_of(ops.ones((count, 1)), scores)
        self.painter_loss.update_state(self.step(self.painter, self.painter_optimizer, loss))
        return {metric.name: float(metric.result()) for metric in self.metrics}


def main():
    real, _, _ = shapes(256, noise=0.02)
    critic = fastconv.Sequential(
        [
            fastconv.Input((24, 24, 1)),
            layers.Conv2D(12, 4, strides=2, padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Conv2D(24, 4, strides=2, padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Flatten(),
            layers.Dropout(0.2),
            layers.Dense(1),
        ],
        name="critic",
    )
    painter = fastconv.Sequential(
        [
            fastconv.Input((16,)),
            layers.Dense(6 * 6 * 24),
            layers.Reshape((6, 6, 24)),
            layers.Conv2DTranspose(24, 4, strides=2, padding="same"),
            layers.BatchNormalization(),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Conv2DTranspose(12, 4, strides=2, padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Conv2D(1, 5, padding="same", activation="sigmoid"),
        ],
        name="painter",
    )
    gan = GAN(critic, painter, size=16)
    gan.compile(
        fastconv.optimizers.Adam(5e-4, beta_1=0.5),
        fastconv.optimizers.Adam(1e-3, beta_1=0.5),
        fastconv.losses.BinaryCrossentropy(from_logits=True),
    )
    history = gan.fit(real, batch_size=32, epochs=12, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    drawn = gan.predict(np.random.default_rng(0).standard_normal((64, 16)).astype("float32"), verbose=0)
    assert drawn.shape == (64, 24, 24, 1)
    return float(1 - np.abs(drawn.mean() - real.mean()) / real.mean())


if __name__ == "__main__":
    print(main())
