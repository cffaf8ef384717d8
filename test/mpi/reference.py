"""
Trainings in one process, in float64, which those of several ranks have to equal: writes reference.json beside this file.

    /usr/bin/python3 test/mpi/reference.py

24 examples, in their order, in batches of 10, 10 and 4, for three epochs, by each optimizer of a network 6-8-3 with tanh:
`plain`; `batchNorm`, with batch normalisation of the whole batch after tanh, which is what ranks that share its statistics
compute; `localBatchNorm2`, in which two ranks normalise their shares, contiguous halves of each batch, on their own (and
keep running statistics of their own, of which none are told).

`start` and `end` are parameters by PyTorch's names, `losses` the means of epochs over examples. The running statistics
in the end are those of axpy's rule: a batch smaller than those of late moves them less. It wants Debian's python3-torch (1.13).
"""
import json
import math
import os

try:
    import torch
except ImportError:
    raise SystemExit("PyTorch is missing. Run: apt-get install --no-install-recommends python3-torch")
import torch.nn.functional as F
from torch import nn

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)

EXAMPLES, FEATURES, BATCH, EPOCHS = 24, 6, 10, 3
X = torch.tensor([[math.sin(1.7 * i + 2.3 * j + 0.37 * i * j) for j in range(FEATURES)] for i in range(EXAMPLES)])
LABELS = torch.arange(EXAMPLES) % 3
PARAMETERS = ["hidden.weight", "hidden.bias", "norm.weight", "norm.bias", "out.weight", "out.bias"]

# Options as axpy has them, and what PyTorch makes of them.
OPTIMIZERS = {
    "SGD": ("SGD", {"learningRate": 0.3}, lambda p: torch.optim.SGD(p, 0.3)),
    "momentum": ("SGD", {"learningRate": 0.1, "momentum": 0.9}, lambda p: torch.optim.SGD(p, 0.1, momentum=0.9)),
    "AdamW": (
        "AdamW",
        {"learningRate": 0.03, "weightDecay": 0.1},
        lambda p: torch.optim.AdamW(p, 0.03, weight_decay=0.1),
    ),
}


class Network(nn.Module):
    def __init__(self, norm):
        super().__init__()
        self.hidden = nn.Linear(FEATURES, 8)
        self.norm = nn.BatchNorm1d(8) if norm else None
        self.out = nn.Linear(8, 3)
        with torch.no_grad():
            for name, p in self.named_parameters():
                phase = 0.7 * PARAMETERS.index(name)
                wave = torch.tensor([0.5 * math.cos(1.3 * i + phase) for i in range(p.numel())]).reshape(p.shape)
                # A scale is about 1.
                p.copy_(wave + 1 if name == "norm.weight" else wave)

    def forward(self, x):
        h = torch.tanh(self.hidden(x))
        return self.out(self.norm(h) if self.norm else h)


def values(tensor):
    return tensor.detach().reshape(-1).tolist()


def named(model):
    return {name: values(p) for name, p in model.named_parameters()}


def train(norm, shares, optimizer):
    model = Network(norm)
    own = optimizer(model.parameters())
    recent, losses = 0, []
    for _ in range(EPOCHS):
        total = 0
        for x, labels in zip(X.split(BATCH), LABELS.split(BATCH)):
            n = len(x)
            if norm:
                recent = max(n, recent)
                model.norm.momentum = 0.1 * (n - 1) / (recent - 1)
                recent = max(n, recent / 2)
            parts = zip(x.tensor_split(shares), labels.tensor_split(shares))
            loss = sum(F.cross_entropy(model(x), labels) * len(x) / n for x, labels in parts)
            own.zero_grad()
            loss.backward()
            own.step()
            total += loss.item() * n
        losses.append(total / EXAMPLES)
    result = {"losses": losses, "end": named(model)}
    if norm and shares == 1:
        result |= {"runningMean": values(model.norm.running_mean), "runningVariance": values(model.norm.running_var)}
    return result


def main():
    variants = {"plain": (False, 1), "batchNorm": (True, 1), "localBatchNorm2": (True, 2)}
    lines = {
        "x": values(X),
        "labels": LABELS.tolist(),
        "batchSize": BATCH,
        "epochs": EPOCHS,
        "start": named(Network(True)),
        "optimizers": {name: {"kind": kind, "options": options} for name, (kind, options, _) in OPTIMIZERS.items()},
    }
    for variant, (norm, shares) in variants.items():
        for name, (_, _, optimizer) in OPTIMIZERS.items():
            lines[f"{variant}/{name}"] = train(norm, shares, optimizer)
    content = ",\n".join(f"{json.dumps(key)}:{json.dumps(line, separators=(',', ':'))}" for key, line in lines.items())
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "reference.json"), "w") as file:
        file.write(f"{{\n{content}\n}}\n")


main()
