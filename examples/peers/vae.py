"""examples/vae.ts in PyTorch: the same data, model and training, for its figures.

    /usr/bin/python3 examples/peers/vae.py [--seed 1] [--epochs 15]
"""
import argparse
import gzip
import os
import time

import numpy
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits


def load():
    path = os.path.join(os.path.dirname(__file__), "..", "data", "t10k-images-idx3-ubyte.gz")
    with gzip.open(path) as file:
        pixels = numpy.frombuffer(file.read(), numpy.uint8, offset=16)
    images = torch.from_numpy(pixels.reshape(-1, 1, 28, 28).astype(numpy.float32) / 255)
    return images[:9000], images[9000:]


class Vae(nn.Module):
    def __init__(self, size=16):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 32, 4, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 4, 2, 1), nn.ReLU(),
            nn.Flatten(), nn.Linear(7 * 7 * 64, 2 * size),
        )
        self.decoder = nn.Sequential(
            nn.Linear(size, 7 * 7 * 64), nn.ReLU(), nn.Unflatten(1, (64, 7, 7)),
            nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(32, 1, 4, 2, 1),
        )

    def forward(self, x):
        mean, log_variance = self.encoder(x).chunk(2, -1)
        z = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
        return self.decoder(z), mean, log_variance


def parts(model, x):
    logits, mean, log_variance = model(x)
    pixels = binary_cross_entropy_with_logits(logits, x, reduction="sum")
    return pixels, 0.5 * (mean**2 + log_variance.exp() - log_variance - 1).sum()


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--epochs", type=int, default=15)
    arguments.add_argument("--threads", type=int, default=2)
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    learned, held = load()
    torch.manual_seed(options.seed)
    model = Vae()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    began = time.perf_counter()
    for _ in range(options.epochs):
        for rows in torch.randperm(len(learned)).split(64):
            x = learned[rows]
            optimizer.zero_grad()
            (sum(parts(model, x)) / len(x)).backward()
            optimizer.step()
    seconds = (time.perf_counter() - began) / options.epochs
    with torch.no_grad():
        pixels, divergence = (sum(part) / len(held) for part in zip(*(parts(model, x) for x in held.split(250))))
    print(
        f"seed {options.seed}: ELBO -{pixels + divergence:.2f} nats, of which the divergence {divergence:.2f}, "
        f"{seconds:.2f} s an epoch",
        flush=True,
    )


main()
