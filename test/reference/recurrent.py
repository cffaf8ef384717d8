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


LENGTHS = [4, 6, 1, 3]


def layer(rows, name, make, options):
    """
    A sequence of 6 steps, 4 a batch, by lengths too if the options say so, and from a state that is given: its output, the last
    states and the gradients by random cotangents; then a training over segments whose states are handed on, detached.
    """
    own = {key: value for key, value in options.items() if key != "lengths"}
    module = make(3, 2, batch_first=True, **own)
    load(rows, name, module)
    states = 2 if isinstance(module, nn.LSTM) else 1
    shape = [own.get("num_layers", 1) * (2 if own.get("bidirectional") else 1), 4, 2]

    def forward(x, state):
        given = state if states == 2 else state[0]
        if options.get("lengths"):
            x = nn.utils.rnn.pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)
        output, last = module(x, given)
        if options.get("lengths"):
            output, _ = nn.utils.rnn.pad_packed_sequence(output, batch_first=True, total_length=6)
        return output, (last if states == 2 else (last,))

    x = rows(f"{name}/x", [4, 6, 3]).requires_grad_()
    state = tuple(rows(f"{name}/state/{i}", shape).requires_grad_() for i in range(states))
    output, last = forward(x, state)
    seen = [output, *last]
    loss = sum((y * rows(f"{name}/cotangent/{i}", list(y.shape))).sum() for i, y in enumerate(seen))
    seen = [y.detach() for y in seen]
    seen += torch.autograd.grad(loss, [x, *state, *module.parameters()])

    optimizer = torch.optim.SGD(module.parameters(), 0.3, momentum=0.9)
    state = tuple(torch.zeros(shape) for _ in range(states))
    for step in range(4):
        output, state = forward(rows(f"{name}/x/{step}", [4, 6, 3]), state)
        loss = F.mse_loss(output, rows(f"{name}/y/{step}", list(output.shape)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        state = tuple(s.detach() for s in state)
        seen += [loss]
    return seen + list(state) + list(module.parameters())


def recurrent(rows):
    """Every combination of options that PyTorch has."""
    found = {"embedding": embedding(rows)}
    kinds = {"LSTM": (nn.LSTM, {}), "GRU": (nn.GRU, {}), "RNN": (nn.RNN, {}), "RNN relu": (nn.RNN, {"nonlinearity": "relu"})}
    for kind, (make, more) in kinds.items():
        for layers in (1, 2):
            for bidirectional in (False, True):
                for lengths in (False, True):
                    for bias in (True, False) if layers == 2 else (True,):
                        words = [f"{layers}", "both" * bidirectional, "lengths" * lengths, "no bias" * (not bias)]
                        name = ", ".join([kind, *(word for word in words if word)])
                        options = {"num_layers": layers, "bidirectional": bidirectional, "lengths": lengths, "bias": bias}
                        found[name] = layer(rows, name, make, {**options, **more})
    return found
