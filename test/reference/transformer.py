"""Attention and blocks of transformers of PyTorch, for make_reference.py."""

import torch
from recurrent import load
from torch import nn

QUERIES, KEYS = 3, 5
# PyTorch's masks say what is not seen; axpy's what is.
KEY_MASK = torch.tensor([[1, 1, 1, 0, 0], [0, 1, 1, 1, 1]])
LENGTHS = torch.tensor([[1, 1, 0], [1, 1, 1]])
MASK = torch.tensor([[1, 0, 1, 1, 1], [1, 1, 1, 0, 1], [0, 0, 1, 1, 1]])


def results(rows, name, module, inputs, run):
    """The output, and the gradients by a random cotangent of inputs and parameters, these by name."""
    y = run(*inputs)
    (y * rows(f"{name}/cotangent", list(y.shape))).sum().backward()
    return [y, *[x.grad for x in inputs], *[p.grad for _, p in sorted(module.named_parameters())]]


def attention(rows, name, options, call, keys):
    module = nn.MultiheadAttention(6, 2, batch_first=True, **options)
    load(rows, name, module)
    x = rows(f"{name}/x", [2, keys if keys == KEYS and not call.get("context") else QUERIES, 6]).requires_grad_()
    inputs = [x]
    if call.get("context"):
        inputs.append(rows(f"{name}/context", [2, keys, options.get("kdim", 6)]).requires_grad_())
    masks = {}
    if call.get("causal"):
        masks["attn_mask"] = torch.ones(x.shape[1], keys, dtype=torch.bool).tril().logical_not()
    if call.get("mask"):
        masks["attn_mask"] = MASK == 0
    if call.get("keyMask"):
        masks["key_padding_mask"] = KEY_MASK == 0
    return results(rows, name, module, inputs, lambda q, k=None: module(q, q if k is None else k, q if k is None else k, **masks)[0])


def block(rows, name, options, key_mask):
    module = nn.TransformerEncoderLayer(6, 2, 10, dropout=0, batch_first=True, **options)
    load(rows, name, module)
    x = rows(f"{name}/x", [2, KEYS, 6]).requires_grad_()
    mask = KEY_MASK == 0 if key_mask else None
    return results(rows, name, module, [x], lambda q: module(q, src_key_padding_mask=mask))


def decoder(rows, name, options, masks):
    """Causal, of a context of another length; with `masks` positions of both and single scores are left out."""
    module = nn.TransformerDecoderLayer(6, 2, 10, dropout=0, batch_first=True, **options)
    load(rows, name, module)
    inputs = [rows(f"{name}/{key}", [2, length, 6]).requires_grad_() for key, length in (("x", QUERIES), ("context", KEYS))]
    others = {"tgt_mask": torch.ones(QUERIES, QUERIES, dtype=torch.bool).tril().logical_not()}
    if masks:
        others |= {
            "tgt_key_padding_mask": LENGTHS == 0,
            "memory_mask": MASK == 0,
            "memory_key_padding_mask": KEY_MASK == 0,
        }
    return results(rows, name, module, inputs, lambda x, context: module(x, context, **others))


def transformer(rows):
    cross = {"context": True}
    attentions = {
        "self": ({}, {}, KEYS),
        "self, no bias": ({"bias": False}, {}, KEYS),
        "self, causal": ({}, {"causal": True}, KEYS),
        "self, keys": ({}, {"keyMask": True}, KEYS),
        "cross": ({}, cross, KEYS),
        "cross, another size": ({"kdim": 4, "vdim": 4}, cross, KEYS),
        "cross, mask and keys": ({}, {**cross, "mask": True, "keyMask": True}, KEYS),
    }
    blocks = {
        "block, after": ({}, False),
        "block, after, keys": ({}, True),
        "block, before": ({"norm_first": True, "activation": "gelu"}, False),
    }
    return {
        **{name: attention(rows, name, *case) for name, case in attentions.items()},
        **{name: block(rows, name, *case) for name, case in blocks.items()},
        "decoder, after": decoder(rows, "decoder, after", {}, False),
        "decoder, before, masks": decoder(
            rows, "decoder, before, masks", {"norm_first": True, "activation": "gelu"}, True
        ),
    }
