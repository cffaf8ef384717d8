"""The workloads of workloads.ts in PyTorch: a model in training, its optimizer and loss, and a batch of inputs and targets."""
import torch
from torch import nn
from torch.nn import functional as F


def house():
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1))
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    return model, optimizer, F.mse_loss, torch.randn(32, 4), torch.randn(32, 1)


def mlp():
    model = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10))
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    return model, optimizer, F.cross_entropy, torch.randn(128, 784), torch.randint(0, 10, (128,))


def cnn():
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(64 * 12 * 12, 128), nn.ReLU(), nn.Linear(128, 10))  # fmt: skip
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    return model, optimizer, F.cross_entropy, torch.randn(64, 1, 28, 28), torch.randint(0, 10, (64,))


def vgg():
    def block(inputs, outputs):
        return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]

    model = nn.Sequential(
        *block(3, 64), *block(64, 64), nn.MaxPool2d(2), *block(64, 128), *block(128, 128), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(128 * 64, 10))  # fmt: skip
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, weight_decay=5e-4)
    return model, optimizer, F.cross_entropy, torch.randn(32, 3, 32, 32), torch.randint(0, 10, (32,))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def attend(self, x):
        batch, length, width = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        scores = (q @ k.transpose(-1, -2)) / (width // self.heads) ** 0.5
        future = torch.triu(torch.ones(length, length, dtype=torch.bool), 1)
        weights = scores.masked_fill(future, float("-inf")).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).reshape(batch, length, width))

    def forward(self, x):
        x = x + self.attend(self.norms[0](x))
        return x + self.down(F.gelu(self.up(self.norms[1](x))))


class Gpt(nn.Module):
    def __init__(self, vocabulary, length, width, layers, heads):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(torch.randn(length, width))
        self.blocks = nn.Sequential(*[Block(width, heads) for _ in range(layers)])
        self.norm, self.out = nn.LayerNorm(width), nn.Linear(width, vocabulary)

    def forward(self, tokens):
        return self.out(self.norm(self.blocks(self.embedding(tokens) + self.positions)))


def gpt():
    model = Gpt(65, 64, 128, 4, 4)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)

    def loss(logits, target):
        return F.cross_entropy(logits.flatten(0, 1), target.flatten())

    return model, optimizer, loss, torch.randint(0, 65, (16, 64)), torch.randint(0, 65, (16, 64))


class Last(nn.Module):
    def __init__(self, layer, width):
        super().__init__()
        self.layer, self.out = layer, nn.Linear(width, 1)

    def forward(self, x):
        states = self.layer(x)[1]
        h = states[0] if isinstance(states, tuple) else states
        return self.out(h.transpose(0, 1).flatten(1))


def over_time(layer, width=128):
    model = Last(layer, width)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    return model, optimizer, F.mse_loss, torch.randn(64, 50, 32), torch.randn(64, 1)


def lstm():
    return over_time(nn.LSTM(32, 128, batch_first=True))


def gru():
    return over_time(nn.GRU(32, 128, batch_first=True))


def bilstm():
    return over_time(nn.LSTM(32, 128, batch_first=True, bidirectional=True), 256)


makers = {make.__name__: make for make in (house, mlp, cnn, vgg, gpt, lstm, gru, bilstm)}
