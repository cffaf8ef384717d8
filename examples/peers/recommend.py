"""examples/recommend.ts in PyTorch: the same data, models and training, for its figures.

    /usr/bin/python3 examples/peers/recommend.py [--seeds 3] [--epochs 15]
"""
import argparse
import csv
import gzip
import math
import os
import time

import torch
from torch import nn

FIELDS = ["student", "lecturer", "semester", "ago", "service", "department", "lecture"]
SIDES = ["student", "lecturer", "lecture"]
STRENGTHS = {"student": 12, "lecturer": 5, "lecture": 8, "other": 20}


def load():
    path = os.path.join(os.path.dirname(__file__), "..", "data", "lectures.csv.gz")
    with gzip.open(path, "rt") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["lecture"] = " ".join(row[field] for field in ("lecturer", "semester", "ago", "service"))
    places = {}
    for field in FIELDS:
        values = list(dict.fromkeys(row[field] for row in rows))
        places[field] = {value: i for i, value in enumerate(values)}

    def part(wanted):
        own = [row for i, row in enumerate(rows) if wanted(i % 10)]
        x = {field: torch.tensor([places[field][row[field]] for row in own]) for field in FIELDS}
        return x, torch.tensor([float(row["rating"]) for row in own])

    sizes = {field: len(known) for field, known in places.items()}
    return part(lambda i: i > 1), part(lambda i: i == 1), part(lambda i: i == 0), sizes


def embedding(count, size, deviation):
    table = nn.Embedding(count, size)
    with torch.no_grad():
        table.weight.mul_(deviation)
    return table


class Rater(nn.Module):
    def __init__(self, sizes, y):
        super().__init__()
        self.biases = nn.ModuleDict({side: embedding(sizes[side], 1, 0) for side in SIDES})
        self.mean, self.count = y.mean(), len(y)

    def forward(self, x):
        return self.mean + (sum(self.biases[side](x[side]) for side in SIDES) + self.more(x))[:, 0]

    def penalty(self):
        tables = [(self.biases[side], STRENGTHS[side]) for side in SIDES]
        tables += [(table, STRENGTHS["other"]) for table in self.tables()]
        return sum(table.weight.square().sum() * (strength / self.count) for table, strength in tables)


class Factors(Rater):
    def __init__(self, sizes, y, size=8):
        super().__init__(sizes, y)
        self.taste, self.style = (embedding(sizes[name], size, 0.1) for name in ("student", "lecturer"))

    def more(self, x):
        return (self.taste(x["student"]) * self.style(x["lecturer"])).sum(1, keepdim=True)

    def tables(self):
        return [self.taste, self.style]


class Network(Rater):
    def __init__(self, sizes, y, size=16):
        super().__init__(sizes, y)
        self.embeddings = nn.ModuleDict(
            {name: embedding(n, min(n, size), 0.1) for name, n in sizes.items() if name != "lecture"}
        )
        self.dropout = nn.Dropout(0.2)
        self.hidden = nn.Linear(sum(table.embedding_dim for table in self.tables()), 64)
        self.out = nn.Linear(64, 1)
        # The initial values of Dense.
        nn.init.kaiming_normal_(self.hidden.weight, nonlinearity="relu")
        nn.init.xavier_normal_(self.out.weight)
        for layer in (self.hidden, self.out):
            nn.init.zeros_(layer.bias)

    def more(self, x):
        parts = torch.cat([table(x[name]) for name, table in self.embeddings.items()], -1)
        return self.out(self.dropout(self.hidden(self.dropout(parts)).relu()))

    def tables(self):
        return list(self.embeddings.values())


def error_of(predicted, y, bounded=True):
    return (((predicted.clamp(1, 5) if bounded else predicted) - y) ** 2).mean().sqrt().item()


def train(make, seed, data, epochs, rate=5e-3, batch=256):
    torch.manual_seed(seed)
    (x, y), (x_v, y_v), (x_t, y_t), sizes = data
    model = make(sizes, y)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    steps = epochs * math.ceil(len(y) / batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * step / steps)))
    best, kept, waited, seconds = math.inf, None, 0, []
    for _ in range(epochs):
        began = time.perf_counter()
        model.train()
        for rows in torch.randperm(len(y)).split(batch):
            optimizer.zero_grad()
            predicted = model({name: column[rows] for name, column in x.items()})
            (nn.functional.mse_loss(predicted, y[rows]) + model.penalty()).backward()
            optimizer.step()
            schedule.step()
        model.eval()
        with torch.no_grad():
            value = error_of(model(x_v), y_v, bounded=False)
        seconds.append(time.perf_counter() - began)
        if value < best:
            best, waited = value, 0
            kept = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        else:
            waited += 1
            if waited == 3:
                break
    model.load_state_dict(kept)
    model.eval()
    with torch.no_grad():
        return error_of(model(x_t), y_t), len(seconds), sorted(seconds)[len(seconds) // 2]


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--epochs", type=int, default=15)
    arguments.add_argument("--threads", type=int, default=2)
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    data = load()
    for make in (Factors, Network):
        for seed in range(1, options.seeds + 1):
            error, epochs, seconds = train(make, seed, data, options.epochs)
            print(f"{make.__name__}, seed {seed}: {error:.4f}, {epochs} epochs of {seconds:.2f} s", flush=True)


main()
