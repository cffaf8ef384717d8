"""Trains a small network on clothes with PyTorch and exports it for finetune.ts: python3 pretrain.py [folder] [images]"""
import gzip
import os
import sys

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

folder = sys.argv[1] if len(sys.argv) > 1 else "build/interop"
count = int(sys.argv[2]) if len(sys.argv) > 2 else 6000
data = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../data")


def read(name, skip):
    with gzip.open(os.path.join(data, name)) as file:
        return np.frombuffer(file.read(), np.uint8)[skip:]


images = torch.tensor(read("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28) / 255.0, dtype=torch.float32)
labels = torch.tensor(read("t10k-labels-idx1-ubyte.gz", 8).astype(np.int64))
# T-shirts, trousers, pullovers, dresses and coats, of the first 9,000: no shoes and no bags.
clothes = (labels[:9000] < 5).nonzero().flatten()[:count]


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2))
        self.classifier = nn.Linear(32 * 7 * 7, 5)

    def forward(self, x):
        features = torch.flatten(self.features(x), 1)
        return self.classifier(features), features


torch.manual_seed(1)
model = Network()
optimizer = torch.optim.Adam(model.parameters())
for order in torch.randperm(len(clothes)).split(64):
    batch = clothes[order]
    loss = F.cross_entropy(model(images[batch])[0], labels[batch])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

os.makedirs(folder, exist_ok=True)
# As for training, so that batch normalisation and the names of the weights are still there.
torch.onnx.export(
    model, images[:2], f"{folder}/pretrained.onnx", input_names=["images"], output_names=["logits", "features"],
    dynamic_axes={name: {0: "batch"} for name in ("images", "logits", "features")},
    training=torch.onnx.TrainingMode.TRAINING, do_constant_folding=False)
print(f"loss {loss.item():.3f}; {folder}/pretrained.onnx")
