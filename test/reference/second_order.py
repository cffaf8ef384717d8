"""What PyTorch makes of gradients of gradients (create_graph=True), for make_reference.py: three uses, in float64."""

import math

import torch
import torch.nn.functional as F

STEPS = 20


def parameters(rows, name, shapes):
    return {key: rows(f"{name}/{key}", shape, -0.5, 0.5).requires_grad_() for key, shape in shapes.items()}


def penalty(rows):
    """WGAN-GP (Gulrajani et al., 2017) of a small network of images, channels last where they are given."""
    shapes = {"kernel": [4, 3, 3, 2], "bias": [4], "scale": [6, 6, 4], "shift": [6, 6, 4], "weight": [1, 144]}
    p = parameters(rows, "penalty", shapes)

    def critic(x):
        y = F.conv2d(x.movedim(-1, 1), p["kernel"].movedim(-1, 1), p["bias"], padding=1).movedim(1, -1)
        y = F.silu(F.layer_norm(y, [6, 6, 4], p["scale"], p["shift"]))
        return F.linear(y.reshape(-1, 144), p["weight"])

    optimizer = torch.optim.SGD(p.values(), 0.02)
    seen = []
    for step in range(STEPS):
        real, fake = (rows(f"penalty/{kind}/{step}", [3, 6, 6, 2]) for kind in ("real", "fake"))
        mix = rows(f"penalty/mix/{step}", [3, 1, 1, 1], 0, 1)
        between = (real * mix + fake * (1 - mix)).requires_grad_()
        (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
        size = (slope.square().sum((1, 2, 3)) + 1e-12).sqrt()
        loss = critic(fake).mean() - critic(real).mean() + 10 * (size - 1).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen += [loss]
    return seen + list(p.values())


def hessian(rows):
    """The gradient of a classifier's loss, and its Hessian times a vector."""
    p = parameters(rows, "hessian", {"w1": [5, 4], "b1": [5], "w2": [3, 5], "b2": [3]})
    x, labels = rows("hessian/x", [8, 4]), torch.arange(8) % 3
    logits = F.linear(torch.tanh(F.linear(x, p["w1"], p["b1"])), p["w2"], p["b2"])
    gradients = torch.autograd.grad(F.cross_entropy(logits, labels), p.values(), create_graph=True)
    vectors = [rows(f"hessian/vector/{key}", list(own.shape)) for key, own in p.items()]
    return list(gradients) + list(torch.autograd.grad(gradients, p.values(), vectors))


def equation(rows):
    """A network u that learns u'' = −π² sin(πx), u(0) = u(1) = 0 (Raissi, Perdikaris & Karniadakis, 2019)."""
    p = parameters(rows, "equation", {"w1": [8, 1], "b1": [8], "w2": [1, 8], "b2": [1]})

    def u(x):
        return F.linear(torch.tanh(F.linear(x, p["w1"], p["b1"])), p["w2"], p["b2"])

    optimizer = torch.optim.Adam(p.values(), 0.01)
    ends = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    seen = []
    for step in range(STEPS):
        x = rows(f"equation/x/{step}", [12, 1], 0, 1).requires_grad_()
        (slope,) = torch.autograd.grad(u(x).sum(), x, create_graph=True)
        (curvature,) = torch.autograd.grad(slope.sum(), x, create_graph=True)
        loss = (curvature + math.pi**2 * torch.sin(math.pi * x)).square().mean() + u(ends).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen += [loss]
    return seen + list(p.values())


def second_order(rows):
    return {"penalty": penalty(rows), "hessian": hessian(rows), "equation": equation(rows)}
