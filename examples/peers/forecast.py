"""examples/forecast.ts in PyTorch: the same data, model and training, for its figures.

    /usr/bin/python3 examples/peers/forecast.py [--seed 1] [--epochs 20]
"""
import argparse
import csv
import datetime as dt
import math
import os
import time

import torch
from torch import nn

PAST, AHEAD, QUANTILES = 28, 7, (0.05, 0.5, 0.95)
FEATURES = 11
BEGINS = {"validation": "2013-01-01", "test": "2015-01-01"}


def holiday(day):
    if (day.month, day.day) in {(1, 1), (7, 4), (12, 24), (12, 25), (12, 31)}:
        return True
    nth, last = (day.day + 6) // 7, (day + dt.timedelta(7)).month != day.month
    return {
        (1, 0): nth == 3, (2, 0): nth == 3, (5, 0): last, (9, 0): nth == 1, (11, 3): nth == 4,
        (11, 4): 23 <= day.day <= 29,
    }.get((day.month, day.weekday()), False)


def calendar(day):
    angle = 2 * math.pi * day.timetuple().tm_yday / 365.25
    weekday = [float(day.isoweekday() % 7 == i) for i in range(7)]
    return [*weekday, math.sin(angle), math.cos(angle), float(holiday(day))]


def load():
    path = os.path.join(os.path.dirname(__file__), "..", "data", "chicago.csv")
    with open(path) as file:
        rows = [(dt.date.fromisoformat(row["date"]), float(row["rides"])) for row in csv.DictReader(file)]
    days = [day for day, _ in rows]
    rides = torch.tensor([count for _, count in rows])
    known = torch.tensor([calendar(day) for day in days])
    bounds = [0, *(days.index(dt.date.fromisoformat(BEGINS[part])) for part in ("validation", "test")), len(days)]
    learned = rides[: bounds[1]]
    scaled = (rides - learned.mean()) / learned.std(unbiased=False)
    parts = []
    for begin, end in zip(bounds, bounds[1:]):
        first = torch.arange(max(begin, PAST), end - AHEAD + 1)[:, None]
        past, ahead = first + torch.arange(-PAST, 0), first + torch.arange(AHEAD)
        x = torch.cat([scaled[past][..., None], known[past]], -1)
        parts.append((x, known[ahead], scaled[ahead]))
    return parts, learned.std(unbiased=False)


class Forecaster(nn.Module):
    def __init__(self, hidden=64):
        super().__init__()
        self.reader = nn.GRU(FEATURES, hidden, batch_first=True)
        self.writer = nn.GRU(FEATURES, hidden, batch_first=True)
        self.out = nn.Linear(hidden, 3)

    def forward(self, past, ahead):
        # What was a week before each day
        naive = past[:, -AHEAD:, :1]
        _, state = self.reader(past)
        states, _ = self.writer(torch.cat([naive, ahead], -1), state)
        low, middle, high = self.out(states).split(1, -1)
        middle = naive + middle
        return torch.cat([middle - nn.functional.softplus(low), middle, middle + nn.functional.softplus(high)], -1)


class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(PAST * FEATURES + AHEAD * (FEATURES - 1), AHEAD)

    def forward(self, past, ahead):
        return past[:, -AHEAD:, 0] + self.out(torch.cat([past.flatten(1), ahead.flatten(1)], -1))


def quantile_loss(prediction, target):
    losses = []
    for i, q in enumerate(QUANTILES):
        error = target - prediction[..., i]
        losses.append(torch.maximum(q * error, (q - 1) * error).mean())
    return sum(losses)


def train(model, loss, parts, epochs, rate=2e-3, batch=64):
    (past, ahead, y), (past_v, ahead_v, y_v), _ = parts
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=1e-2)
    best, kept, began = math.inf, None, time.perf_counter()
    steps = epochs * math.ceil(len(y) / batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * min(step / steps, 1)))
    )
    for epoch in range(epochs):
        model.train()
        for rows in torch.randperm(len(y)).split(batch):
            optimizer.zero_grad()
            loss(model(past[rows], ahead[rows]), y[rows]).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1)
            optimizer.step()
            schedule.step()
        model.eval()
        with torch.no_grad():
            value = loss(model(past_v, ahead_v), y_v).item()
        if value < best:
            best, kept = value, {name: x.clone() for name, x in model.state_dict().items()}
    model.load_state_dict(kept)
    return (time.perf_counter() - began) / epochs


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--epochs", type=int, default=20)
    arguments.add_argument("--threads", type=int, default=2)
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    parts, deviation = load()
    past, ahead, y = parts[2]
    mae = lambda prediction: ((prediction - y).abs().mean() * deviation).item()
    print([len(part[2]) for part in parts], f"naive {mae(past[:, -AHEAD:, 0]):.0f}")
    torch.manual_seed(options.seed)
    linear = Linear()
    train(linear, nn.functional.l1_loss, parts, options.epochs)
    model = Forecaster()
    seconds = train(model, quantile_loss, parts, options.epochs)
    with torch.no_grad():
        low, middle, high = model(past, ahead).unbind(-1)
        covered = ((low <= y) & (y <= high)).float().mean().item()
        past_v, ahead_v, y_v = parts[1]
        low_v, _, high_v = model(past_v, ahead_v).unbind(-1)
        chosen_by = ((low_v <= y_v) & (y_v <= high_v)).float().mean().item()
        width = ((high - low).mean() * deviation).item()
        print(
            f"seed {options.seed}: linear {mae(linear(past, ahead)):.0f}, GRU {mae(middle):.0f}, coverage {chosen_by:.3f} of 2013 and 2014, "
            f"{covered:.3f} from 2015, width {width:.0f}, {seconds:.2f} s an epoch"
        )


main()
