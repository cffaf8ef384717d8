"""
Programs of PyTorch, exported at several opsets: a line of JSON each with the model, inputs, outputs and gradients of inputs.
"""
import base64
import io
import json
import math
import sys
import warnings

import torch
from torch import nn
from torch.nn import functional as F

from make import listed, packed

warnings.filterwarnings('ignore')
torch.set_num_threads(1)
torch.manual_seed(7)


class Call(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *xs):
        return self.function(*xs)


class Bert(nn.Module):
    """Tokens, their kinds and a mask, as Hugging Face's models have them."""

    def __init__(self):
        super().__init__()
        self.words, self.places, self.kinds = nn.Embedding(30, 8), nn.Embedding(16, 8), nn.Embedding(2, 8)
        self.norm = nn.LayerNorm(8, eps=1e-12)
        self.query, self.key, self.value, self.out = (nn.Linear(8, 8) for _ in range(4))
        self.up, self.down, self.pooler = nn.Linear(8, 16), nn.Linear(16, 8), nn.Linear(8, 3)
        self.register_buffer('position_ids', torch.arange(16).expand((1, -1)))

    def heads(self, x):
        return x.view(x.size()[:-1] + (2, 4)).permute(0, 2, 1, 3)

    def forward(self, ids, mask):
        t = ids.size()[1]
        x = self.norm(self.words(ids) + self.kinds(torch.zeros_like(ids)) + self.places(self.position_ids[:, :t]))
        far = (1.0 - mask[:, None, None, :].to(x.dtype)) * torch.finfo(torch.float32).min
        scores = torch.matmul(self.heads(self.query(x)), self.heads(self.key(x)).transpose(-1, -2)) / math.sqrt(4)
        y = torch.matmul(F.softmax(scores + far, -1), self.heads(self.value(x))).permute(0, 2, 1, 3).contiguous()
        x = self.norm(x + self.out(y.view(y.size()[:-2] + (8,))))
        h = self.up(x)
        x = self.norm(x + self.down(h * 0.5 * (1.0 + torch.erf(h / math.sqrt(2.0)))))
        return torch.tanh(self.pooler(x[:, 0]))


class Causal(nn.Module):
    """A decoder's block with its triangle as a buffer, and GPT-2's GELU."""

    def __init__(self):
        super().__init__()
        self.attention, self.project = nn.Linear(8, 24), nn.Linear(8, 8)
        self.register_buffer('bias', torch.tril(torch.ones(12, 12, dtype=torch.uint8)).view(1, 1, 12, 12))
        self.register_buffer('masked', torch.tensor(-1e4))

    def forward(self, x):
        q, k, v = (y.view(y.shape[0], y.shape[1], 2, 4).transpose(1, 2) for y in self.attention(x).split(8, dim=2))
        scores = torch.matmul(q, k.transpose(-1, -2)) / (float(v.size(-1)) ** 0.5)
        ns, nd = scores.size(-2), scores.size(-1)
        scores = torch.where(self.bias[:, :, nd - ns:nd, :nd].bool(), scores, self.masked.to(scores.dtype))
        y = torch.matmul(F.softmax(scores, -1), v).transpose(1, 2).reshape(x.shape)
        y = self.project(y)
        return 0.5 * y * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (y + 0.044715 * torch.pow(y, 3.0))))


class Vision(nn.Module):
    """Patches, a token for the class, places, torch's TransformerEncoderLayer."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.token, self.places = nn.Parameter(torch.randn(1, 1, 8)), nn.Parameter(torch.randn(1, 5, 8))
        self.block = nn.TransformerEncoderLayer(8, 2, 16, 0.0, 'gelu', batch_first=True, norm_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        y = self.patches(x).flatten(2).transpose(1, 2)
        y = torch.cat([self.token.expand(x.shape[0], -1, -1), y], 1) + self.places
        return self.head(self.block(y)[:, 0])


class ConvNext(nn.Module):
    """Depthwise convolutions, LayerNorm over channels that lie last for a while, a scale of the layer."""

    def __init__(self):
        super().__init__()
        self.depth, self.norm = nn.Conv2d(4, 4, 7, padding=3, groups=4), nn.LayerNorm(4)
        self.up, self.down = nn.Linear(4, 8), nn.Linear(8, 4)
        self.scale = nn.Parameter(torch.full((4,), 0.1))

    def forward(self, x):
        y = self.norm(self.depth(x).permute(0, 2, 3, 1))
        y = self.scale * self.down(F.gelu(self.up(y)))
        x = x + y.permute(0, 3, 1, 2)
        return x / torch.norm(x, dim=(2, 3), keepdim=True)


class Shuffle(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(4, 4, 1, groups=2), nn.Conv2d(4, 4, 3, 2, 1, groups=4)
        self.norm = nn.BatchNorm2d(8)

    def forward(self, x):
        b, c, h, w = x.shape
        y = F.relu(self.a(x)).view(b, 2, c // 2, h, w).transpose(1, 2).contiguous().view(b, c, h, w)
        y = torch.cat([F.avg_pool2d(x, 3, 2, 1), self.b(y)], 1)
        one, two = self.norm(y).chunk(2, dim=1)
        return torch.cat((one, two * torch.sigmoid(two.mean((2, 3), keepdim=True))), 1)


class Segment(nn.Module):
    """Brought back to the size of the image, whatever that is."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 2, 3, padding=2, dilation=2)

    def forward(self, x):
        y = self.b(F.relu(self.a(x)))
        pooled = F.interpolate(F.adaptive_avg_pool2d(y, 1), size=y.shape[-2:], mode='bilinear', align_corners=False)
        return F.interpolate(y + pooled, size=x.shape[-2:], mode='bilinear', align_corners=False)


class Dense(nn.Module):
    """DenseNet's blocks, with dropout and pooling."""

    def __init__(self):
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm2d(3 + 2 * i) for i in range(3))
        self.convs = nn.ModuleList(nn.Conv2d(3 + 2 * i, 2, 3, padding=1, bias=False) for i in range(3))

    def forward(self, x):
        parts = [x]
        for norm, conv in zip(self.norms, self.convs):
            parts.append(F.dropout(conv(F.relu(norm(torch.cat(parts, 1)))), 0.5, self.training))
        return F.adaptive_avg_pool2d(torch.cat(parts, 1), (1, 1)).flatten(1)


x4, x3, x2 = torch.randn(2, 3, 6, 5), torch.randn(2, 4, 9), torch.randn(5, 7)
pos4 = torch.rand(2, 3, 6, 5) + 0.3
tokens = torch.randint(0, 7, (2, 5))
w2, w1, wt = torch.randn(4, 3, 3, 2), torch.randn(6, 4, 3), torch.randn(3, 4, 3, 2)
programs = {
    'relu6': (lambda x: F.relu6(x * 4), x4),
    'hardtanh': (lambda x: F.hardtanh(x, -0.5, 0.7), x4),
    'elu': (lambda x: F.elu(x, 0.7), x4),
    'celu': (lambda x: F.celu(x, 0.7), x4),
    'selu': (F.selu, x4),
    'gelu': (F.gelu, x4),
    'silu': (F.silu, x4),
    'mish': (F.mish, x4),
    'softplus': (F.softplus, x4),
    'softsign': (F.softsign, x4),
    'hardsigmoid': (lambda x: F.hardsigmoid(x * 3), x4),
    'hardswish': (lambda x: F.hardswish(x * 3), x4),
    'logsigmoid': (F.logsigmoid, x4),
    'leaky relu': (lambda x: F.leaky_relu(x, 0.3), x4),
    'prelu': (lambda x: F.prelu(x, torch.tensor([0.1, 0.2, 0.3])), x4),
    'threshold': (lambda x: F.threshold(x, 0.0, 0.0), x4),
    'erf': (lambda x: torch.erf(x * 2), x4),
    'floor, ceil, round': (lambda x: torch.floor(x) + 2 * torch.ceil(x) + 4 * torch.round(x * 3) + x, x4),
    'pow, sqrt, rsqrt': (lambda x: x ** 3 + x.sqrt() - x.rsqrt() + x ** 0.5 + 2 ** x, pos4),
    'log, exp': (lambda x: x.log() * (-x).exp() + x.log2(), pos4),
    'division': (lambda x: 1 / x + x / 3 - 2 - (1 - x), pos4),
    'minimum, maximum': (lambda x, y: torch.minimum(x, y) * torch.maximum(x, y), x4, x4.flip(0)),
    'clamp': (lambda x: x.clamp(min=-0.5) + x.clamp(max=0.3) + x.clamp(-0.1, 0.4), x4),
    'where, comparisons': (lambda x, y: torch.where((x > y) & (x <= 1) | ~(y < 0), x, y * 2), x4, x4.flip(1)),
    'masked_fill': (lambda x: x.masked_fill(x > 0.5, -3.0), x4),
    'broadcasting': (lambda x, y: x * y + y, x4, torch.randn(3, 1, 5)),
    'batch_norm': (lambda x: F.batch_norm(x, torch.tensor([0.1, 0.2, 0.3]), torch.tensor([1., 2, 3]), torch.tensor([1., 2, 3]), torch.tensor([0., 1, 2])), x4),
    'instance_norm': (lambda x: F.instance_norm(x), x4),
    'group_norm': (lambda x: F.group_norm(x, 2, torch.arange(4.), torch.ones(4)), x3),
    'layer_norm over two axes': (lambda x: F.layer_norm(x, (6, 5)), x4),
    'layer_norm': (lambda x: F.layer_norm(x, (7,), torch.arange(7.), torch.ones(7)), x2),
    'normalize': (lambda x: F.normalize(x, dim=1), x4),
    'softmax over channels': (lambda x: F.softmax(x, 1), x4),
    'log_softmax': (lambda x: F.log_softmax(x, -1), x4),
    'conv2d': (lambda x: F.conv2d(x, w2, torch.arange(4.), (2, 1), (1, 2), (2, 1)), x4),
    'conv2d, groups': (lambda x: F.conv2d(x, torch.ones(6, 1, 3, 3) * torch.arange(6.).view(6, 1, 1, 1), None, 1, 1, 1, 3), x4),
    'conv1d': (lambda x: F.conv1d(x, w1, None, 2, 1, 2), x3),
    'conv_transpose2d': (lambda x: F.conv_transpose2d(x, wt, torch.arange(4.), 2, (1, 0), (1, 0)), x4),
    'conv_transpose2d, groups and dilation': (lambda x: F.conv_transpose2d(x, torch.ones(3, 2, 2, 2), None, 3, 1, 1, 3, 2), x4),
    'conv_transpose1d': (lambda x: F.conv_transpose1d(x, torch.ones(4, 2, 3), None, 2, 1), x3),
    'max_pool2d': (lambda x: F.max_pool2d(x, 3, 2, 1), x4),
    'max_pool2d, ceil': (lambda x: F.max_pool2d(x, (2, 3), 2, ceil_mode=True), x4),
    'avg_pool2d, ceil, padding': (lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True), x4),
    'avg_pool2d, without padding': (lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), x4),
    'pools of sequences': (lambda x: F.max_pool1d(x, 3, 2, 1) + F.avg_pool1d(x, 3, 2, 1), x3),
    'global pools': (lambda x: F.adaptive_avg_pool2d(x, 1) * F.adaptive_max_pool2d(x, 1), x4),
    'nearest': (lambda x: F.interpolate(x, scale_factor=(2, 3)), x4),
    'nearest to a size': (lambda x: F.interpolate(x, size=(4, 9)), x4),
    'bilinear': (lambda x: F.interpolate(x, scale_factor=1.5, mode='bilinear', recompute_scale_factor=True), x4),
    'bilinear, corners': (lambda x: F.interpolate(x, size=(9, 4), mode='bilinear', align_corners=True), x4),
    'bicubic': (lambda x: F.interpolate(x, size=(9, 8), mode='bicubic'), x4),
    'linear': (lambda x: F.interpolate(x, size=13, mode='linear'), x3),
    'pixel_shuffle': (lambda x: F.pixel_shuffle(x.view(1, 4, 9, 5), 2), torch.randn(2, 2, 9, 5)),
    'pad': (lambda x: F.pad(x, (1, 2, 3, 0), value=1.5), x4),
    'pad, crop': (lambda x: F.pad(x, (-1, 2, 0, -2)), x4),
    'pad, reflect': (lambda x: F.pad(x, (1, 2, 2, 1), 'reflect'), x4),
    'pad, replicate': (lambda x: F.pad(x, (1, 2, 2, 1), 'replicate'), x4),
    'cat of images': (lambda x, y: torch.cat([F.max_pool2d(x, 1), y, x], 1), x4, torch.randn(2, 2, 6, 5)),
    'cat, stack': (lambda x, y: torch.stack([torch.cat([x, y], -1), torch.cat([y, x], -1)], 1), x2, x2.flip(0)),
    'split, chunk': (lambda x: [a * i for i, a in enumerate(x.split([1, 4, 2], 1))] + list(x.chunk(3, 1)), x2),
    'slices': (lambda x: x[:, 1:, ::2, -3:-1].sum(1) + x[:, :2, 1::2, 1:3].mean(1), x4),
    'flip': (lambda x: x.flip(2, 1), x4),
    'select, narrow': (lambda x: x[:, 0].narrow(1, 1, 3) * x.select(1, -1).narrow(1, 0, 3), x4),
    'index_select': (lambda x: x.index_select(1, torch.tensor([2, 0, 2])), x4),
    'gather': (lambda x: x.gather(1, torch.tensor([[0, 1], [6, 6], [2, 0], [1, 1], [3, 4]])), x2),
    'embedding': (lambda t: F.embedding(t, torch.arange(21.).view(7, 3)), tokens),
    'one_hot': (lambda t: F.one_hot(t, 7).float().cumsum(1), tokens),
    'permute, view': (lambda x: x.permute(0, 2, 3, 1).reshape(2, -1, 3).transpose(1, 2), x4),
    'view as in attention': (lambda x: x.view(2, 4, 3, 3).transpose(1, 2).contiguous().view(2, 12, -1), x3),
    'flatten, unflatten': (lambda x: x.flatten(1).view(2, 3, -1), x4),
    'squeeze, unsqueeze': (lambda x: x.unsqueeze(1).squeeze(1).unsqueeze(-1).squeeze(), x4),
    'squeeze of a size that is not known': (lambda x: x.mean(1, keepdim=True).squeeze(1), x4),
    'expand, repeat': (lambda x: x.unsqueeze(1).expand(-1, 3, -1).repeat(2, 1, 2), x2),
    'sums, means': (lambda x: [x.sum(1), x.mean((2, 3)), x.sum((0, 1), keepdim=True), x.mean(), x.norm(dim=1), x.abs().sum()], x4),
    'extremes': (lambda x: [x.amax(1), x.amin((2, 3), keepdim=True), x.max(2)[0], x.argmax(1), x.argmin(3, keepdim=True)], x4),
    'logsumexp, var, std, prod': (lambda x: [x.logsumexp(1), x.var(1), x.std((2, 3), unbiased=False), x.prod(2)], x4),
    'matmul': (lambda x, y: x @ y.transpose(-2, -1) @ torch.ones(6, 3), x4, x4.flip(0).flip(1)),
    'matmul of vectors': (lambda x: (x @ torch.arange(7.)) * (torch.arange(5.) @ x)[0], x2),
    'linear of sequences': (lambda x: F.linear(x, torch.arange(27.).view(3, 9) / 20, torch.arange(3.)), x3),
    'addmm': (lambda x: torch.addmm(torch.ones(5, 5), x, x.t(), beta=0.5, alpha=2), x2),
    'einsum': (lambda x, y: torch.einsum('bchw,bcwk->bhk', x, y), x4, torch.randn(2, 3, 5, 4)),
    'tril, triu': (lambda x: x.tril() + x.triu(1) * 2, x2),
    'arange of a size': (lambda x: x + torch.arange(x.shape[1], dtype=x.dtype) * x.shape[0], x2),
    'zeros of a size': (lambda x: torch.cat([x, torch.zeros(x.shape[0], 2), torch.ones_like(x)], 1), x2),
    'integers': (lambda t: (t * 3) // 2 - 7 + t % 3 + (t > 2).long() - t.abs() * -1, tokens),
    'casts': (lambda t: t.float() / 2 + (t > 3).float() - t.double().float(), tokens),
    'mean over a mask': (lambda x, t: (x * (t > 2).unsqueeze(1).float()).sum(2) / (t > 2).sum(1, keepdim=True).clamp(min=1), torch.randn(2, 3, 5), tokens),
    'glu': (lambda x: F.glu(x, 1), x3),
    'BERT': (Bert(), torch.randint(0, 30, (2, 7)), (torch.rand(2, 7) > 0.3).long()),
    'GPT-2': (Causal(), torch.randn(2, 6, 8)),
    'vision transformer': (Vision(), torch.randn(2, 3, 8, 8)),
    'ConvNeXt': (ConvNext(), torch.randn(2, 4, 5, 6)),
    'ShuffleNet': (Shuffle(), torch.randn(2, 4, 6, 6)),
    'segmentation': (Segment(), torch.randn(2, 3, 9, 7)),
    'DenseNet': (Dense(), x4),
    'cosine_similarity': (lambda x: F.cosine_similarity(x, x.flip(0), dim=1), x2),
}


# What Upsample of opset 9 does with edges is not what PyTorch does.
inexact = {('bilinear', 9), ('segmentation', 9)}


def export(name, opset):
    function, *xs = programs[name]
    if isinstance(function, nn.Module):
        function.eval()
    file = io.BytesIO()
    axes = {f'x{i}': {0: 'batch'} for i in range(len(xs))}
    torch.onnx.export(Call(function).eval(), tuple(xs), file, opset_version=opset, input_names=list(axes), dynamic_axes=axes)
    own = [x.clone().requires_grad_() if x.dtype.is_floating_point else x for x in xs]
    outputs = listed(function(*own))
    loss = sum((y ** 2).sum() for y in outputs if y.requires_grad)
    if isinstance(loss, torch.Tensor):
        loss.backward()
    return {'name': name, 'opset': opset, 'model': base64.b64encode(file.getvalue()).decode(), 'inputs': [packed(x) for x in xs],
            'outputs': [packed(y) for y in outputs],
            'gradients': [packed(x.grad if x.grad is not None else torch.zeros_like(x)) if x.dtype.is_floating_point else None for x in own]}


if __name__ == '__main__':
    for name in programs:
        for opset in (9, 11, 13, 17):
            if (name, opset) in inexact:
                continue
            try:
                line = export(name, opset)
            except Exception as error:
                # An opset that PyTorch cannot say it in.
                if '-v' in sys.argv:
                    print(name, opset, str(error).splitlines()[0], file=sys.stderr)
                continue
            print(json.dumps(line))
