"""
Models of PyTorch 1.13 (Debian's python3-torch) as ONNX files, each with a JSON file beside it: inputs, outputs in evaluation
mode for two sizes of the batch, and in training mode the gradients of a loss, running statistics after the step, and outputs.

    /usr/bin/python3 test/onnx/pytorch/make.py
"""
import base64
import io
import json
import math
import os
import sys
import warnings

import torch
from torch import nn
from torch.nn import functional as F

warnings.filterwarnings('ignore')
torch.set_num_threads(1)


def packed(x):
    x = x.detach().contiguous()
    x = x.to(torch.int32) if x.dtype in (torch.int64, torch.bool, torch.int32) else x.to(torch.float32)
    return {
        'dtype': 'int32' if x.dtype == torch.int32 else 'float32',
        'shape': list(x.shape),
        'data': base64.b64encode(x.numpy().tobytes()).decode(),
    }


def listed(y):
    return list(y) if isinstance(y, (tuple, list)) else [y]


class Residual(nn.Module):
    """Two blocks with batch normalisation, one with a shortcut by 1 x 1."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU())
        self.a = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.bn_a = nn.BatchNorm2d(4)
        self.b = nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=False)
        self.bn_b = nn.BatchNorm2d(6)
        self.short = nn.Conv2d(4, 6, 1, stride=2, bias=False)
        self.fc = nn.Linear(6, 3)

    def forward(self, x):
        x = self.stem(x)
        x = F.relu(self.bn_a(self.a(x)) + x)
        x = F.relu(self.bn_b(self.b(x)) + self.short(x))
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


class Mobile(nn.Module):
    """Depthwise and pointwise convolutions, ReLU6, hard-swish, and a squeeze-and-excitation block."""

    def __init__(self):
        super().__init__()
        self.expand = nn.Sequential(nn.Conv2d(3, 6, 1, bias=False), nn.BatchNorm2d(6), nn.ReLU6())
        self.depth = nn.Sequential(nn.Conv2d(6, 6, 3, stride=2, padding=1, groups=6, bias=False), nn.BatchNorm2d(6), nn.Hardswish())
        self.squeeze = nn.Conv2d(6, 2, 1)
        self.excite = nn.Conv2d(2, 6, 1)
        self.project = nn.Sequential(nn.Conv2d(6, 4, 1, bias=False), nn.BatchNorm2d(4))
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        x = self.depth(self.expand(x))
        s = F.hardsigmoid(self.excite(F.silu(self.squeeze(x.mean((2, 3), keepdim=True)))))
        x = self.project(x * s)
        return self.head(x.mean([2, 3]))


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(1, 3, 3, padding=1)
        self.inner = nn.Conv2d(3, 4, 3, padding=1)
        self.up = nn.ConvTranspose2d(4, 3, 2, stride=2)
        self.out = nn.Conv2d(6, 2, 3, padding=1)
        self.last = nn.Conv2d(2, 1, 1)

    def forward(self, x):
        a = F.leaky_relu(self.down(x), 0.2)
        b = F.elu(self.inner(F.max_pool2d(a, 2)))
        y = F.relu(self.out(torch.cat([self.up(b), a], 1)))
        y = F.interpolate(y, scale_factor=2.0, mode='nearest')
        y = F.interpolate(y, size=(6, 10), mode='bilinear', align_corners=False)
        return torch.sigmoid(self.last(y))


class Attention(nn.Module):
    """An encoder block written by hand: LayerNorm, several heads, GELU."""

    def __init__(self, d=8, heads=2):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.proj = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.up, self.down = nn.Linear(d, 2 * d), nn.Linear(2 * d, d)
        self.register_buffer('mask', torch.triu(torch.ones(12, 12, dtype=torch.bool), 1))

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = self.qkv(self.norm1(x)).chunk(3, -1)
        q, k, v = (y.view(b, t, self.heads, d // self.heads).transpose(1, 2) for y in (q, k, v))
        scores = q @ k.transpose(-2, -1) / math.sqrt(d // self.heads)
        scores = scores.masked_fill(self.mask[:t, :t], float('-inf')).softmax(-1)
        x = x + self.proj((scores @ v).transpose(1, 2).reshape(b, t, d))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Encoder(nn.Module):
    """torch's own MultiheadAttention, batch first."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        y, _ = self.attention(x, x, x, need_weights=False)
        return self.head(self.norm(x + y)[:, 0])


class Text(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 6)
        self.hidden = nn.Linear(6, 8)
        self.out = nn.Linear(8, 3)

    def forward(self, tokens):
        weights = (tokens != 0).unsqueeze(-1).float()
        x = (self.embedding(tokens) * weights).sum(1) / weights.sum(1).clamp(min=1)
        return F.log_softmax(self.out(torch.tanh(self.hidden(x))), -1)


class Sequence(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Conv1d(3, 4, 5, padding=2)
        self.bn = nn.BatchNorm1d(4)
        self.b = nn.Conv1d(4, 6, 3, stride=2, dilation=2, groups=2)
        self.fc = nn.Linear(6, 2)

    def forward(self, x):
        x = F.max_pool1d(F.relu(self.bn(self.a(x))), 2)
        x = F.avg_pool1d(F.softplus(self.b(x)), 2)
        return self.fc(x.amax(-1))


class Recurrent(nn.Module):
    """All kinds of cells, levels and directions, one after the other."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(9, 4)
        self.lstm = nn.LSTM(4, 3, num_layers=2, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(6, 5, batch_first=True)
        self.rnn = nn.RNN(5, 4, nonlinearity='relu', bidirectional=True, batch_first=True)
        self.fc = nn.Linear(8, 2)

    def forward(self, tokens):
        y, (h, c) = self.lstm(self.embedding(tokens))
        y, last = self.gru(y)
        y, _ = self.rnn(y)
        # All with the batch in front.
        return self.fc(y[:, -1]), h.transpose(0, 1), c.transpose(0, 1), last[0]


class Program(nn.Module):
    """What models do beside layers: where, clamp, pad, view, permute, indexing, group normalisation."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.randn(4, 1, 1))
        self.norm = nn.GroupNorm(2, 4)
        self.fc = nn.Linear(24, 3)
        self.slopes = nn.PReLU(4)

    def forward(self, x):
        x = F.pad(x, (1, 2, 0, 1), mode='reflect')
        x = self.slopes(self.norm(x * self.scale))
        x = torch.where(x > 0.5, x.clamp(-1, 1), x.pow(2) - x.abs().sqrt())
        x = x.permute(0, 2, 3, 1)[:, ::2, 1:-1]
        b, h, w, c = x.shape
        x = x.reshape(b, h * w * c).view(b, -1, 24)
        first, last = x[:, 0], x[:, -1]
        return self.fc(first - last.exp().log1p()), torch.stack([first, last], 1).std(2)


def mlp():
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.0), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3), nn.Softmax(-1))


def cnn():
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.Sigmoid(), nn.AvgPool2d(2, ceil_mode=True), nn.Flatten(), nn.Linear(6, 3))


images = lambda c, h, w: lambda n: (torch.randn(n, c, h, w),)
rows = lambda *shape: lambda n: (torch.randn(n, *shape),)
# name: model, inputs for a batch, opset, whether as for training (weights as they are), whether any size of batch
models = {
    'mlp': (mlp, rows(6), 9, True, True),
    'cnn': (cnn, images(2, 6, 6), 11, True, True),
    'cnn-folded': (cnn, images(2, 6, 6), 14, False, True),
    'residual': (Residual, images(2, 6, 6), 13, True, True),
    'mobile': (Mobile, images(3, 6, 6), 15, True, True),
    'unet': (UNet, images(1, 4, 6), 12, True, True),
    'attention': (Attention, rows(5, 8), 14, True, True),
    'attention-folded': (Attention, rows(5, 8), 17, False, True),
    'encoder': (Encoder, rows(5, 8), 13, False, True),
    'text': (Text, lambda n: (torch.randint(0, 20, (n, 7)),), 16, True, True),
    'sequence': (Sequence, rows(3, 23), 10, True, True),
    'recurrent': (Recurrent, lambda n: (torch.randint(0, 9, (n, 6)),), 14, False, True),
    'program': (Program, images(4, 5, 9), 13, True, True),
    'fixed': (cnn, images(2, 6, 6), 13, True, False),
}


def training_loss(outputs):
    """Of squares and of sums, so that no gradient is 0 by chance."""
    return sum(((y * torch.linspace(0.5, 1.5, y.numel()).view(y.shape)) ** 2).sum() + y.sum() for y in outputs)


def make(name):
    create, inputs, opset, as_is, is_dynamic = models[name]
    torch.manual_seed(sum(map(ord, name)))
    model = create()
    for m in model.modules():
        if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.normal_(m.running_mean, 0, 0.2)
            nn.init.uniform_(m.running_var, 0.5, 1.5)
        if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm)):
            nn.init.uniform_(m.weight, 0.5, 1.5)
            nn.init.normal_(m.bias, 0, 0.2)
    given = inputs(4)
    file = io.BytesIO()
    model.train(as_is)
    example = inputs(2) if is_dynamic else given
    axes = {f'x{i}': {0: 'batch'} for i in range(len(given))}
    model.eval()
    count = len(listed(model(*example)))
    axes |= {f'y{i}': {0: 'batch'} for i in range(count)}
    torch.onnx.export(
        model, example, file, opset_version=opset, do_constant_folding=not as_is,
        training=torch.onnx.TrainingMode.TRAINING if as_is else torch.onnx.TrainingMode.EVAL,
        input_names=[f'x{i}' for i in range(len(given))], output_names=[f'y{i}' for i in range(count)],
        dynamic_axes=axes if is_dynamic else None)
    made = {'opset': opset, 'inputs': [packed(x) for x in given]}
    model.eval()
    made['outputs'] = [packed(y) for y in listed(model(*given))]
    model.train()
    outputs = listed(model(*given))
    made['training'] = [packed(y) for y in outputs]
    training_loss(outputs).backward()
    if as_is:
        made['gradients'] = {key: packed(p.grad) for key, p in model.named_parameters()}
        made['buffers'] = {key: packed(b) for key, b in model.named_buffers() if key.endswith(('mean', 'var'))}
        made['state'] = {key: packed(p) for key, p in model.named_parameters()}
    return file.getvalue(), made


if __name__ == '__main__':
    here = os.path.dirname(os.path.abspath(__file__))
    for name in sys.argv[1:] or models:
        onnx, made = make(name)
        with open(os.path.join(here, f'{name}.onnx'), 'wb') as f:
            f.write(onnx)
        with open(os.path.join(here, f'{name}.json'), 'w') as f:
            json.dump(made, f, separators=(',', ':'))
            f.write('\n')
