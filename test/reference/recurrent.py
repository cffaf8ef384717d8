"""Embeddings and recurrent layers of PyTorch, for make_reference.py: what they give, and how they are trained."""

import torch
import torch.nn.functional as F
from torch import nn


def load(rows, name, module):
    """Parameters by the recipe of their names."""
    with torch.no_grad():
        for key, parameter in module.named_parameters():
            parameter.copy_(rows(f"{name}/{key}", list(parameter.shape)))


def embedding(rows):
    """Words are averaged; row 2 is the padding, which is no zeros here."""
    table, out = nn.Embedding(7, 3, padding_idx=2), nn.Linear(3, 2)
    load(rows, "embedding/table", table)
    load(rows, "embedding/out", out)
    optimizer = torch.optim.Adam([*table.parameters(), *out.parameters()], lr=0.1)
    seen = []
    for step in range(6):
        words = ((rows(f"embedding/x/{step}", [4, 5], 0, 7)).floor()).long()
        loss = F.cross_entropy(out(table(words).mean(1)), torch.arange(4) % 2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen += [loss, table.weight.grad.clone()]
    return seen + [table.weight]


def recurrent(rows):
    return {"embedding": embedding(rows)}
