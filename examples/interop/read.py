"""Reads what train.ts wrote, predicts with PyTorch, and compares: python3 read.py [folder]"""
import json
import struct
import sys

import numpy as np
import torch
from torch import nn

folder = sys.argv[1] if len(sys.argv) > 1 else "build/interop"


def load_file(path):
    """`from safetensors.torch import load_file` does this; the format is simple enough to do without."""
    types = {"F32": np.float32, "F64": np.float64, "I32": np.int32}
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = file.read()
    header.pop("__metadata__", None)
    return {
        name: torch.tensor(
            np.frombuffer(data[slice(*entry["data_offsets"])], types[entry["dtype"]]).reshape(entry["shape"])
        )
        for name, entry in header.items()
    }


model = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1, bias=False),
    nn.BatchNorm2d(16),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Flatten(),
    nn.Linear(14 * 14 * 16, 10),
)
model.load_state_dict(load_file(f"{folder}/weights.safetensors"))
model.eval()

held_out = np.load(f"{folder}/held-out.npz")
with torch.no_grad():
    logits = model(torch.tensor(held_out["images"])).numpy()
accuracy = float((logits.argmax(1) == held_out["labels"]).mean())
difference = float(np.abs(logits - held_out["logits"]).max() / np.abs(logits).max())
print(json.dumps({"accuracy": accuracy, "difference": difference}))
