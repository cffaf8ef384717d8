"""
Networks of PyTorch for weights.test.ts, by the name in argv[2].

make FOLDER: writes their state_dicts, an input and an output of each, as fixtures/*.safetensors
check NAME FILE: loads the state_dict in FILE and prints the largest difference to the output in it (x, y)
"""
import sys

import torch
from safetensors_io import load, save
from torch import nn


def images():
    features = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 6, (3, 1), groups=2, bias=False), nn.ReLU(),
        nn.ConvTranspose2d(6, 4, 2, stride=2), nn.Tanh(),
    )
    classifier = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4 * 4 * 8), nn.Dropout(0.5), nn.Linear(4 * 4 * 8, 5), nn.ReLU(), nn.Linear(5, 3))
    return nn.Sequential(features, classifier), torch.randn(3, 2, 8, 8)


def sequences():
    return nn.Sequential(nn.Conv1d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.LayerNorm(4 * 6), nn.Linear(4 * 6, 2)), torch.randn(5, 3, 8)


networks = {"images": images, "sequences": sequences}


def train(model, x):
    """So that running statistics and scales are not what they begin with."""
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(5):
        optimizer.zero_grad()
        model(torch.randn(16, *x.shape[1:])).square().mean().backward()
        optimizer.step()


if sys.argv[1] == "make":
    for name, network in networks.items():
        torch.manual_seed(1)
        model, x = network()
        train(model, x)
        model.eval()
        state = {key: value.detach().numpy() for key, value in model.state_dict().items()}
        save(f"{sys.argv[2]}/{name}.safetensors", {**state, "x": x.numpy(), "y": model(x).detach().numpy()})
else:
    model, _ = networks[sys.argv[2]]()
    tensors = {key: torch.tensor(value) for key, value in load(sys.argv[3]).items()}
    x, y = tensors.pop("x"), tensors.pop("y")
    model.load_state_dict(tensors, strict=True)
    print((model.eval()(x) - y).abs().max().item())
