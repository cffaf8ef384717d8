"""What generation.ts measures, in PyTorch: the same network, with keys and values kept in tensors of a fixed length."""
import argparse
import math
import time

import torch
from torch import nn
from torch.nn import functional as F

parser = argparse.ArgumentParser()
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--batch", type=int, default=1)
parser.add_argument("--length", type=int, default=256)
parser.add_argument("--seconds", type=float, default=1)
arguments = parser.parse_args()
torch.set_num_threads(arguments.threads)
torch.manual_seed(0)
batch, length = arguments.batch, arguments.length


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        size = width // heads
        self.keys, self.values = (torch.zeros(batch, heads, length, size) for _ in range(2))

    def forward(self, x, at):
        width = x.shape[-1]
        size = width // self.heads
        q, k, v = self.qkv(self.norm1(x)).view(batch, 1, 3, self.heads, size).permute(2, 0, 3, 1, 4)
        self.keys[:, :, at : at + 1] = k
        self.values[:, :, at : at + 1] = v
        # Of what there is so far alone.
        weights = (q @ self.keys[:, :, : at + 1].transpose(-1, -2) / math.sqrt(size)).softmax(-1)
        y = (weights @ self.values[:, :, : at + 1]).transpose(1, 2).reshape(batch, 1, width)
        x = x + self.out(y)
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Gpt(nn.Module):
    def __init__(self, vocabulary, width, layers, heads):
        super().__init__()
        self.embedding, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm, self.out = nn.LayerNorm(width), nn.Linear(width, vocabulary)

    def forward(self, token, at):
        x = self.embedding(token) + self.positions.weight[at]
        for block in self.blocks:
            x = block(x, at)
        return self.out(self.norm(x))


model = Gpt(65, 128, 4, 4).eval()


@torch.no_grad()
def generate():
    token = torch.ones(batch, 1, dtype=torch.int64)
    times = []
    for at in range(length - 1):
        start = time.perf_counter()
        token = model(token, at).argmax(-1)
        times.append(1e6 * (time.perf_counter() - start))
    return times


least = generate()
end = time.perf_counter() + arguments.seconds
while time.perf_counter() < end:
    least = [min(pair) for pair in zip(least, generate())]
mean = lambda values: sum(values) / len(values)
print(
    f"torch {torch.__version__}, {arguments.threads} threads, batch {batch}, {length} tokens: {mean(least[1:]):.0f} µs a token, "
    f"{mean(least[1:33]):.0f} at the beginning, {mean(least[-32:]):.0f} at the end"
)
