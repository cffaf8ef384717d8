"""examples/transfer.ts in PyTorch: the same data, network and steps, for its figures.

    /usr/bin/python3 examples/peers/transfer.py [--seeds 5]
"""
import argparse
import copy
import gzip
import math
import os

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

parser = argparse.ArgumentParser()
parser.add_argument("--seeds", type=int, default=5)
arguments = parser.parse_args()
torch.set_num_threads(2)

# The T-shirt, the pullover and the sandal.
FRESH = [0, 2, 5]
KNOWN = [label for label in range(10) if label not in FRESH]


def read(name, skip):
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", name)
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), np.uint8)[skip:]


images = torch.zeros(10000, 1, 40, 40)
for row, image in enumerate(torch.tensor(read("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28) / 255.0)):
    top, left = 7 * row % 13, (11 * row + (row >> 4)) % 13
    images[row, 0, top : top + 28, left : left + 28] = image
labels = torch.tensor(read("t10k-labels-idx1-ubyte.gz", 8).astype(np.int64))


def pick(rows, names):
    own = [(row, names.index(label)) for row, label in zip(rows, labels[list(rows)].tolist()) if label in names]
    index, y = (torch.tensor(column) for column in zip(*own))
    return images[index], y


def body():
    sizes = [(1, 16), (16, 32), (32, 64)]
    blocks = [
        [nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU(), nn.MaxPool2d(2)] for a, b in sizes]
    return nn.Sequential(*sum(blocks, []), nn.Flatten(), nn.Linear(5 * 5 * 64, 64), nn.ReLU())


def classifier(front, count):
    return nn.Sequential(front, nn.Linear(64, count))


def learn(model, x, y, rate, epochs, size, still=()):
    """`still` are in evaluation mode meanwhile."""
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=rate)
    model.train()
    for layer in still:
        layer.eval()
    for _ in range(epochs):
        for batch in torch.randperm(len(y)).split(size):
            optimizer.zero_grad()
            F.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
    model.eval()


@torch.no_grad()
def accuracy(model, x, y):
    return (torch.cat([model(part) for part in x.split(500)]).argmax(1) == y).float().mean().item()


torch.manual_seed(1)
first = classifier(body(), len(KNOWN))
learn(first, *pick(range(9000), KNOWN), 2e-3, 5, 64)
print(f"{accuracy(first, *pick(range(9000, 10000), KNOWN)):.3f} of what is learned first")
x, y = pick(range(9000), FRESH)
for few in (5, 20):
    epochs = math.ceil(120 / math.ceil(few * len(FRESH) / 20))
    rows = []
    for seed in range(1, arguments.seeds + 1):
        torch.manual_seed(seed)
        order = torch.randperm(len(y))
        own = torch.cat([order[y[order] == label][:few] for label in range(len(FRESH))])
        others = torch.ones(len(y), dtype=torch.bool)
        others[own] = False
        held = x[others], y[others]

        scratch = classifier(body(), len(FRESH))
        learn(scratch, x[own], y[own], 1e-3, epochs, 20)

        front = copy.deepcopy(first[0])
        model = classifier(front, len(FRESH))
        front.requires_grad_(False)
        learn(model, x[own], y[own], 1e-2, epochs, 20, still=[front])
        frozen = accuracy(model, *held)

        front.requires_grad_(True)
        norms = [layer for layer in front if isinstance(layer, nn.BatchNorm2d)]
        for layer in norms:
            layer.requires_grad_(False)
        learn(model, x[own], y[own], 1e-4, epochs, 20, still=norms)
        rows.append([accuracy(scratch, *held), frozen, accuracy(model, *held)])
        print(few, *(f"{value:.3f}" for value in rows[-1]), flush=True)
    print(few, "mean of scratch, frozen, tuned:", *(f"{v:.3f}" for v in torch.tensor(rows).mean(0).tolist()))
