"""examples/texts.ts in PyTorch: the same data, words, batches, models and training, for its figures.

    /usr/bin/python3 examples/peers/texts.py [--seeds 3] [--epochs 20] [--only "bag of words"]
"""
import argparse
import collections
import csv
import gzip
import os
import random
import re
import time

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

BOUNDARIES = [32, 64, 96, 128]


def words_of(text):
    return re.findall(r"[a-z]+(?:'[a-z]+)*|[!?]", re.sub(r"<[^>]*>", " ", text.lower()))


def load():
    path = os.path.join(os.path.dirname(__file__), "..", "data", "reviews.csv.gz")
    with gzip.open(path, "rt", encoding="utf8", newline="") as file:
        rows = list(csv.DictReader(file))
    held = {row["review"] for row in rows if row["part"] == "test"}
    read = lambda row: (words_of(row["review"]), float(row["score"] == "great"))
    others = [row for row in rows if row["part"] == "train" and row["review"] not in held]
    train = [read(row) for i, row in enumerate(others) if i % 8 != 0]
    validation = [read(row) for row in others[::8]]
    return train, validation, [read(row) for row in rows if row["part"] == "test"]


def vocabulary_of(reviews, least=3):
    counts = collections.Counter(word for words, _ in reviews for word in words)
    known = sorted((word for word, n in counts.items() if n >= least), key=lambda word: (-counts[word], word))
    return {word: i + 2 for i, word in enumerate(known)}


def encode(reviews, vocabulary, distinct):
    items = []
    for words, great in reviews:
        words = list(dict.fromkeys(words)) if distinct else words
        items.append(([vocabulary.get(word, 1) for word in words][: BOUNDARIES[-1]], great))
    return items


def batches(items, shuffled):
    """By 32, those of about one length together."""
    order = random.sample(items, len(items)) if shuffled else items
    buckets = [[] for _ in BOUNDARIES]
    collate = lambda rows, limit: (
        torch.tensor([words + [0] * (limit - len(words)) for words, _ in rows]),
        torch.tensor([len(words) for words, _ in rows]),
        torch.tensor([[great] for _, great in rows]),
    )
    for item in order:
        at = next(i for i, limit in enumerate(BOUNDARIES) if len(item[0]) <= limit)
        buckets[at].append(item)
        if len(buckets[at]) == 32:
            yield collate(buckets[at], BOUNDARIES[at])
            buckets[at] = []
    for bucket, limit in zip(buckets, BOUNDARIES):
        if bucket:
            yield collate(bucket, limit)


def linear(inputs, outputs, relu=False):
    """With the initial values of Dense: He's before a relu, Glorot's, as normal ones, otherwise."""
    layer = nn.Linear(inputs, outputs)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu") if relu else nn.init.xavier_normal_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def embedding(words, size, deviation):
    table = nn.Embedding(words, size, padding_idx=0)
    with torch.no_grad():
        table.weight.normal_(0, 1).mul_(deviation)
        table.weight[0] = 0
    return table


class BagOfWords(nn.Module):
    def __init__(self, words):
        super().__init__()
        self.weights = embedding(words, 1, 0)
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, words, lengths):
        return self.weights(words).sum(1) / lengths.float().sqrt()[:, None] + self.bias


class MeanOfWords(nn.Module):
    def __init__(self, words, size=64):
        super().__init__()
        self.embedding = embedding(words, size, 0.1)
        self.dropout = nn.Dropout(0.5)
        self.hidden = linear(size, size, relu=True)
        self.out = linear(size, 1)

    def forward(self, words, lengths):
        mean = self.embedding(words).sum(1) / lengths.float()[:, None]
        return self.out(self.dropout(self.hidden(self.dropout(mean)).relu()))


class BothDirections(nn.Module):
    def __init__(self, words, size=32):
        super().__init__()
        self.embedding = embedding(words, size, 0.1)
        self.dropout = nn.Dropout(0.5)
        self.order = nn.GRU(size, size, batch_first=True, bidirectional=True)
        self.out = linear(2 * size, 1)

    def forward(self, words, lengths):
        x = self.dropout(self.embedding(words))
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.order(packed)[0], batch_first=True, total_length=words.shape[1])
        return self.out(self.dropout(states.amax(1)))


RECIPES = {
    "bag of words": (BagOfWords, True, 0.02),
    "mean of words": (MeanOfWords, False, 2e-3),
    "both directions": (BothDirections, False, 2e-3),
}


def outputs_of(model, items):
    model.eval()
    with torch.no_grad():
        parts = [(model(words, lengths), great) for words, lengths, great in batches(items, False)]
    return [torch.cat(part)[:, 0] for part in zip(*parts)]


def roc_auc(logits, great):
    positive, negative = logits[great == 1], logits[great == 0]
    above = (positive[:, None] > negative).double() + 0.5 * (positive[:, None] == negative).double()
    return above.mean().item()


def train(name, seed, data, vocabulary, epochs):
    torch.manual_seed(seed)
    random.seed(seed)
    make, distinct, rate = RECIPES[name]
    learned, watched, held = (encode(part, vocabulary, distinct) for part in data)
    model = make(len(vocabulary) + 2)
    loss = nn.functional.binary_cross_entropy_with_logits
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    best, kept, waited, seconds = float("inf"), None, 0, []
    for _ in range(epochs):
        began = time.perf_counter()
        model.train()
        for words, lengths, great in batches(learned, True):
            optimizer.zero_grad()
            loss(model(words, lengths), great).backward()
            optimizer.step()
        value = loss(*outputs_of(model, watched)).item()
        seconds.append(time.perf_counter() - began)
        if value < best:
            best, waited = value, 0
            kept = {name: x.clone() for name, x in model.state_dict().items()}
        else:
            waited += 1
            if waited == 3:
                break
    model.load_state_dict(kept)
    logits, great = outputs_of(model, held)
    accuracy = ((logits > 0) == (great == 1)).double().mean().item()
    return accuracy, roc_auc(logits, great), len(seconds), sorted(seconds)[len(seconds) // 2]


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--epochs", type=int, default=20)
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--only")
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    data = load()
    vocabulary = vocabulary_of(data[0])
    print([len(part) for part in data], f"{len(vocabulary)} words")
    for name in [options.only] if options.only else RECIPES:
        for seed in range(1, options.seeds + 1):
            accuracy, auc, epochs, seconds = train(name, seed, data, vocabulary, options.epochs)
            print(
                f"{name}, seed {seed}: accuracy {accuracy:.3f}, ROC AUC {auc:.3f}, {epochs} epochs of {seconds:.2f} s",
                flush=True,
            )


main()
