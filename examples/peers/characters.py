"""examples/characters.ts in PyTorch: the same text, model and training, for its figures.

    /usr/bin/python3 examples/peers/characters.py [--seed 1] [--steps 1500]
"""
import argparse
import collections
import glob
import math
import os
import time

import torch
from torch import nn
from torch.nn.functional import cross_entropy

LENGTH, BATCH = 64, 16


def load():
    folder = os.path.join(os.path.dirname(__file__), "..", "..", "docs")
    text = "\n".join(open(path, encoding="utf8").read() for path in sorted(glob.glob(os.path.join(folder, "*.md"))))
    known = sorted(character for character, count in collections.Counter(text).items() if count >= 20)
    places = {character: i + 1 for i, character in enumerate(known)}
    every = torch.tensor([places.get(character, 0) for character in text])
    cut = int(0.9 * len(every))
    return every[:cut], every[cut:], len(known) + 1


class Gpt(nn.Module):
    def __init__(self, characters, size=128, heads=4, depth=3, length=256):
        super().__init__()
        self.embedding, self.positions = nn.Embedding(characters, size), nn.Embedding(length, size)
        for embedding in (self.embedding, self.positions):
            nn.init.normal_(embedding.weight, std=0.02)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(size, heads, 4 * size, 0.1, "gelu", batch_first=True, norm_first=True)
            for _ in range(depth)
        )
        self.norm, self.out = nn.LayerNorm(size), nn.Linear(size, characters)
        # Not through attention's weights alone does nothing come from behind: a mask says so
        self.register_buffer("mask", torch.triu(torch.full((LENGTH, LENGTH), -math.inf), 1))

    def forward(self, x):
        y = self.embedding(x) + self.positions.weight[: x.shape[1]]
        for block in self.blocks:
            y = block(y, self.mask)
        return self.out(self.norm(y))


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--steps", type=int, default=1500)
    arguments.add_argument("--threads", type=int, default=2)
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    learned, held, characters = load()
    steps, warmup = options.steps, min(50, options.steps // 4)

    def rate(step):
        if step < warmup:
            return step / warmup
        fall = 0.5 * (1 + math.cos(math.pi * min((step - warmup) / (steps - warmup), 1)))
        return (1e-4 + (2e-3 - 1e-4) * fall) / 2e-3

    def windows(text, starts):
        places = starts[:, None] + torch.arange(LENGTH)
        return text[places], text[places + 1]

    torch.manual_seed(options.seed)
    model = Gpt(characters)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    began = time.perf_counter()
    order = torch.randperm(len(learned) - LENGTH - 1)[: steps * BATCH]
    for starts in order.split(BATCH):
        x, y = windows(learned, starts)
        optimizer.zero_grad()
        cross_entropy(model(x).flatten(0, 1), y.flatten()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1)
        optimizer.step()
        schedule.step()
    seconds = time.perf_counter() - began
    model.eval()
    x, y = windows(held, torch.arange(0, len(held) - 2 * LENGTH, LENGTH))
    with torch.no_grad():
        loss = cross_entropy(model(x).flatten(0, 1), y.flatten()).item()
    print(f"seed {options.seed}: loss {loss:.3f} on text it has not seen, {1000 * seconds / steps:.1f} ms a step")


main()
