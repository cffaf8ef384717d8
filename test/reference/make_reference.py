"""Writes what PyTorch computes, in float64, as JSON beside this file: for the cases of test/cases (ops/<op>.json), for
trajectories of optimizers, for the training of a convolutional network, for whole trainings and for initializers.

    npm run reference                       what is missing, or whose case is another now; the rest stays byte for byte
    npm run reference -- softmax            the same for one op, or several
    npm run reference -- --again softmax    all values of softmax
    npm run reference -- --again programs   a file that no case stands behind, after its recipe below has changed

It wants Debian's python3-torch (1.13), whose last digits depend on the CPU: so what fits its case is never made again
unless it is asked for. A line is a case, and lines are sorted by name, so that branches which add cases
to one op seldom meet; where they do, run it on the file as git leaves it: of lines that git could not merge, those that
fit the cases are kept, and the rest is made.
"""

import json
import math
import os
import sys

try:
    import torch
except ImportError:
    raise SystemExit("PyTorch is missing. Run: apt-get install --no-install-recommends python3-torch")
import torch.nn.functional as F
from recurrent import recurrent
from second_order import second_order
from transformer import transformer

HERE = os.path.dirname(os.path.abspath(__file__))
MASK = 0xFFFFFFFF


# The recipes of test/cases/values.ts, bit for bit.


def fnv(text):
    h = 0x811C9DC5
    for character in text:
        h = ((h ^ ord(character)) * 0x01000193) & MASK
    return h


def generator(seed):
    state = [seed & MASK]

    def next_number():
        state[0] = (state[0] + 0x6D2B79F5) & MASK
        a = state[0]
        t = ((a ^ (a >> 15)) * (a | 1)) & MASK
        t = (((t + ((t ^ (t >> 7)) * (t | 61))) & MASK) ^ t) & MASK
        return (t ^ (t >> 14)) / 2**32

    return next_number


def size_of(shape):
    return math.prod(shape)


def elements(spec, seed):
    draw = generator(fnv(seed))
    n = size_of(spec["shape"])
    low, high = spec.get("low", 0), spec.get("high", 0)
    recipe = spec["recipe"]
    if recipe == "given":
        return [float(value) for value in spec["values"]]
    if recipe == "uniform":
        out = []
        for _ in range(n):
            value = math.floor((low + (high - low) * draw()) * 1024) / 1024
            for kink in spec.get("avoid", []):
                if abs(value - kink) < 0.125:
                    value = kink - 0.125 if value < kink else kink + 0.125
            out.append(value)
        return out
    if recipe == "integers":
        return [low + math.floor((high - low + 1) * draw()) for _ in range(n)]
    out = list(range(n))
    for i in range(n - 1, 0, -1):
        j = math.floor(draw() * (i + 1))
        out[i], out[j] = out[j], out[i]
    return [(value - n // 2) / 8 for value in out]


def uniform(shape, low, high, seed):
    spec = {"shape": shape, "recipe": "uniform", "low": low, "high": high}
    return torch.tensor(elements(spec, seed), dtype=torch.float64).reshape(shape)


def plain(tensor):
    """A flat list; NaN and infinities as the strings that JSON lacks numbers for."""
    if tensor is None:
        return None
    values = tensor.detach().to(torch.float64).reshape(-1).tolist()
    return [compact(value) for value in values]


def compact(value):
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return int(value) if value == int(value) and abs(value) < 2**53 else value


def line_of(key, value):
    return json.dumps(key) + ":" + json.dumps(value, separators=(",", ":"))


def write_lines(name, lines):
    with open(os.path.join(HERE, name), "w") as file:
        file.write("{\n" + ",\n".join(lines) + "\n}\n")


def write(name, content):
    write_lines(name, [line_of(key, value) for key, value in content.items()])


# ops


def first(x):
    """Channels from the last place, where axpy has them, to PyTorch's: of images, sequences and weights."""
    return x.movedim(-1, 1).contiguous()


def last(x):
    return x.movedim(1, -1)


def attention(q, k, v, mask=None, causal=False, scale=None, grouped=False):
    """F.scaled_dot_product_attention, which this PyTorch lacks, as its documentation of 2.5 defines it."""
    length, keys = q.shape[-2], k.shape[-2]
    if grouped:
        k, v = (x.repeat_interleave(q.shape[-3] // x.shape[-3], -3) for x in (k, v))
    bias = torch.zeros(length, keys, dtype=q.dtype)
    if causal:
        bias = bias.masked_fill(torch.ones(length, keys, dtype=torch.bool).tril().logical_not(), -math.inf)
    if mask is not None and mask.dtype == torch.bool:
        bias = bias + torch.zeros(mask.shape, dtype=q.dtype).masked_fill(mask.logical_not(), -math.inf)
    elif mask is not None:
        bias = bias + mask
    # A query that sees no key: zeros, where softmax alone gives NaN.
    none = (bias == -math.inf).all(-1, keepdim=True)
    scores = q @ k.transpose(-2, -1) * (scale or 1 / math.sqrt(q.shape[-1])) + bias.masked_fill(none, 0)
    return (torch.softmax(scores, -1) @ v).masked_fill(none, 0)


def evaluate(case):
    op, name = case["op"], case["name"]
    inputs = []
    for i, spec in enumerate(case["inputs"]):
        values = elements(spec, f"{op}/{name}/{i}")
        whole = spec.get("dtype") == "int32"
        x = torch.tensor([int(v) for v in values] if whole else values, dtype=torch.int64 if whole else torch.float64)
        x = x.reshape(spec["shape"])
        if not spec.get("constant", False):
            x.requires_grad_()
        inputs.append(x)
    scope = {"torch": torch, "F": F, "first": first, "last": last, "attention": attention, **dict(zip("abcdefgh", inputs))}
    y = eval(case["torch"], scope)
    gradients = None
    if case["gradient"] != "none" and y.requires_grad:
        if "cotangent" in case:
            values = [float(value) for value in case["cotangent"]]
            cotangent = torch.tensor(values, dtype=torch.float64).reshape(y.shape)
        else:
            cotangent = uniform(list(y.shape), -1, 1, f"{op}/{name}/cotangent")
        y.backward(cotangent.to(y.dtype))
        gradients = [plain(x.grad) for x in inputs]
    return {"shape": list(y.shape), "value": plain(y), "gradients": gradients}


def stored(name):
    """The lines of a file by their key and recipe; those that are none, as git's marks of a conflict, are left out."""
    lines = {}
    path = os.path.join(HERE, name)
    for line in open(path).read().splitlines() if os.path.exists(path) else []:
        line = line.rstrip(",")
        try:
            ((key, value),) = json.loads("{" + line + "}").items()
        except ValueError:
            continue
        lines[key, value["recipe"]] = line
    return lines


def write_op(op, cases, again):
    name = f"ops/{op}.json"
    before = {} if again else stored(name)
    lines = []
    made = 0
    for case in sorted(cases, key=lambda case: case["name"]):
        line = before.get((case["name"], case["recipe"]))
        if line is None:
            try:
                line = line_of(case["name"], {"recipe": case["recipe"], **evaluate(case)})
            except Exception as error:
                raise SystemExit(f"{op}/{case['name']}: {case['torch']}: {error}")
            made += 1
        lines.append(line)
    write_lines(name, lines)
    if made:
        print(f"{name}: {made} of {len(lines)} cases computed")


# optimizers: ten steps of a network of 4, 3 and 1 units on 8 examples


def network():
    parameters = {
        "w1": uniform([3, 4], -1, 1, "w1"),
        "b1": uniform([3], -1, 1, "b1"),
        "w2": uniform([1, 3], -1, 1, "w2"),
        "b2": uniform([1], -1, 1, "b2"),
    }
    return {name: parameter.requires_grad_() for name, parameter in parameters.items()}


X = uniform([8, 4], -2, 2, "x")
T = uniform([8, 1], -1, 1, "t")


def loss_of(p):
    return F.mse_loss(F.linear(torch.tanh(F.linear(X, p["w1"], p["b1"])), p["w2"], p["b2"]), T)


SGD = {
    "plain": dict(learningRate=0.1),
    "momentum": dict(learningRate=0.1, momentum=0.9),
    "nesterov": dict(learningRate=0.05, momentum=0.8, nesterov=True),
    "dampening": dict(learningRate=0.1, momentum=0.9, dampening=0.9),
    "l2": dict(learningRate=0.1, l2=0.05),
    "momentum and l2": dict(learningRate=0.1, momentum=0.5, dampening=0.25, l2=0.05),
}
ADAM = {
    "default": dict(),
    "rate": dict(learningRate=0.05),
    "betas": dict(learningRate=0.02, beta1=0.5, beta2=0.9),
    "epsilon": dict(learningRate=0.05, epsilon=0.01),
    "l2": dict(learningRate=0.05, l2=0.1),
}


def trajectory(kind, options):
    p = network()
    # L2 leaves biases out, which PyTorch says by groups of parameters.
    decay = options.get("l2", 0)
    groups = [
        {"params": [p["w1"], p["w2"]], "weight_decay": decay},
        {"params": [p["b1"], p["b2"]], "weight_decay": 0},
    ]
    if kind == "sgd":
        optimizer = torch.optim.SGD(
            groups,
            lr=options["learningRate"],
            momentum=options.get("momentum", 0),
            dampening=options.get("dampening", 0),
            nesterov=options.get("nesterov", False),
        )
        if options.get("momentum", 0) != 0:
            # PyTorch's first velocity is the gradient itself; from a velocity of zero it follows the recurrence.
            for parameter in p.values():
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    else:
        optimizer = torch.optim.Adam(
            groups,
            lr=options.get("learningRate", 0.001),
            betas=(options.get("beta1", 0.9), options.get("beta2", 0.999)),
            eps=options.get("epsilon", 1e-8),
        )
    losses, steps = [], []
    for _ in range(10):
        optimizer.zero_grad()
        loss = loss_of(p)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        steps.append({name: plain(parameter) for name, parameter in p.items()})
    return {"options": options, "losses": losses, "steps": steps}


def write_trajectories():
    p = network()
    content = {"start": {name: plain(parameter) for name, parameter in p.items()}, "x": plain(X), "t": plain(T)}
    content["sgd"] = {name: trajectory("sgd", options) for name, options in SGD.items()}
    content["adam"] = {name: trajectory("adam", options) for name, options in ADAM.items()}
    write("trajectories.json", content)


# all optimizers: twenty steps of the same network


class Lion(torch.optim.Optimizer):
    """Algorithm 2 of Chen et al., 2023, which PyTorch does not have."""

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0):
        super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                c = beta1 * m + (1 - beta1) * p.grad
                p.sub_(group["lr"] * (torch.sign(c) + group["weight_decay"] * p))
                m.copy_(beta2 * m + (1 - beta2) * p.grad)


TORCH = {
    "SGD": torch.optim.SGD,
    "Adam": torch.optim.Adam,
    "AdamW": torch.optim.AdamW,
    "RMSprop": torch.optim.RMSprop,
    "Adagrad": torch.optim.Adagrad,
    "NAdam": torch.optim.NAdam,
    "Lion": Lion,
}
NAMES = {
    "learningRate": "lr",
    "epsilon": "eps",
    "learningRateDecay": "lr_decay",
    "initialAccumulator": "initial_accumulator_value",
    "momentumDecay": "momentum_decay",
    "weightDecay": "weight_decay",
}
SPLIT = [dict(of=["w1", "b2"], learningRate=0.03), dict(of=["b1", "w2"])]
OPTIMIZERS = {
    "SGD": [
        dict(options=dict(learningRate=0.1, momentum=0.9, nesterov=True, l2=0.01)),
        dict(
            options=dict(learningRate=0.1),
            groups=[dict(of=["w1", "b1"]), dict(of=["w2", "b2"], momentum=0.9, nesterov=True)],
        ),
    ],
    "Adam": [
        dict(options=dict(amsgrad=True, learningRate=0.05)),
        dict(options=dict(amsgrad=True, learningRate=0.05, l2=0.1, beta2=0.5)),
        dict(options=dict(learningRate=0.02), groups=[dict(of=["w1"], beta1=0.5, l2=0.1), dict(of=["w2", "b2", "b1"])]),
    ],
    "AdamW": [
        dict(),
        dict(options=dict(learningRate=0.05, weightDecay=0.5)),
        dict(options=dict(learningRate=0.05, weightDecay=0.2, amsgrad=True, beta2=0.6)),
        dict(
            options=dict(weightDecay=0.3),
            groups=[
                dict(of=["w1", "b1"], schedule=dict(name="cosine", options={"from": 0.05, "to": 0.001, "steps": 19})),
                dict(of=["w2", "b2"], weightDecay=0, schedule=dict(name="exponential", options={"from": 0.02, "factor": 0.9})),
            ],
        ),
        dict(
            options=dict(learningRate=0.05),
            groups=[dict(of=["w1", "w2"], weightDecay=0.3), dict(of=["b1", "b2"], weightDecay=0, epsilon=0.01)],
        ),
    ],
    "RMSprop": [
        dict(),
        dict(options=dict(alpha=0.9, centered=True, epsilon=1e-4)),
        dict(options=dict(alpha=0.9, momentum=0.8, l2=0.05)),
        dict(options=dict(centered=True, momentum=0.5)),
        dict(options=dict(alpha=0.9), groups=[dict(of=["w1", "b1"], momentum=0.8), dict(of=["w2", "b2"], alpha=0.7)]),
    ],
    "Adagrad": [
        dict(),
        dict(options=dict(learningRate=0.1, learningRateDecay=0.1, initialAccumulator=0.2)),
        dict(options=dict(learningRate=0.1, l2=0.1, epsilon=1e-3)),
        dict(options=dict(learningRate=0.1), groups=SPLIT),
    ],
    "NAdam": [
        dict(),
        dict(options=dict(learningRate=0.05, momentumDecay=0.1, beta1=0.7, l2=0.05)),
        dict(options=dict(learningRate=0.05), groups=SPLIT),
    ],
    "Lion": [
        dict(options=dict(learningRate=0.01)),
        dict(options=dict(learningRate=0.01, weightDecay=0.3, beta1=0.8)),
        dict(options=dict(learningRate=0.01), groups=SPLIT),
    ],
}


SPECIAL = ("beta1", "beta2", "l2", "of", "schedule")


def torch_options(options):
    own = {NAMES.get(name, name): value for name, value in options.items() if name not in SPECIAL}
    if "beta1" in options or "beta2" in options:
        own["betas"] = (options.get("beta1", 0.9), options.get("beta2", 0.999))
    return own


RATES = {
    "cosine": lambda own: lambda step: own["to"] + (own["from"] - own["to"]) * (1 + math.cos(math.pi * step / own["steps"])) / 2,
    "exponential": lambda own: lambda step: own["from"] * own["factor"] ** step,
}


def twenty_steps(kind, case):
    p = network()
    options = case.get("options", {})
    schedules = [given["schedule"] for given in case.get("groups", []) if "schedule" in given]
    groups = []
    for given in case.get("groups", [dict(of=list(p))]):
        l2 = given.get("l2", options.get("l2"))
        own = torch_options({**options, **given} if "beta1" in given or "beta2" in given else given)
        own.pop("initial_accumulator_value", None)
        if kind == "Lion" and "betas" not in own and "beta1" in options:
            own["betas"] = (options["beta1"], 0.99)
        of = [p[name] for name in given["of"]]
        if l2 is None:
            groups.append({"params": of, **own})
            continue
        # Of L2, biases are left out.
        for params, decay in (([x for x in of if x.dim() > 1], l2), ([x for x in of if x.dim() < 2], 0)):
            if params:
                groups.append({"params": params, **own, "weight_decay": decay})
    defaults = torch_options(options)
    if kind == "Lion":
        defaults.pop("betas", None)
    if kind == "NAdam":
        # Of the two ways of PyTorch 1.13 the other one has a momentum twice in its second product, as versions 2 have not.
        defaults["foreach"] = True
    optimizer = TORCH[kind](groups, **defaults)
    losses = []
    rates = [RATES[schedule["name"]](schedule["options"]) for schedule in schedules]
    for step in range(20):
        for group, rate in zip(optimizer.param_groups, rates):
            group["lr"] = rate(step)
        # One parameter rests for a while.
        p["b1"].requires_grad_(not 5 <= step < 9)
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(p)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return {**case, "losses": losses, "end": {name: plain(parameter) for name, parameter in p.items()}}


def write_optimizers():
    write("optimizers.json", {kind: [twenty_steps(kind, case) for case in cases] for kind, cases in OPTIMIZERS.items()})


# schedules: the rates of 30 steps; of OneCycleLR those that it has


def scheduled(rate, schedule, steps=30):
    p = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([p], lr=rate)
    scheduler = schedule(torch.optim.lr_scheduler, optimizer)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def keras(formula):
    """Where PyTorch has another formula: that of Keras's documentation."""
    return [formula(step) for step in range(30)]


def warm(s, o, start, steps, after):
    return s.SequentialLR(o, [s.LinearLR(o, start, 1.0, steps), after], [steps])


PLATEAUS = [
    dict(patience=2, factor=0.5),
    dict(patience=0, cooldown=2, threshold=0.05),
    dict(patience=1, factor=0.5, threshold=0.05, thresholdMode="abs", minLearningRate=0.03),
    dict(patience=1, mode="max", factor=0.5),
    dict(patience=1, mode="max", factor=0.5, threshold=0.1, thresholdMode="abs", epsilon=0.02),
]


def plateaus():
    content = []
    for i, options in enumerate(PLATEAUS):
        names = {"thresholdMode": "threshold_mode", "minLearningRate": "min_lr", "epsilon": "eps"}
        p = torch.zeros(1, requires_grad=True)
        optimizer = torch.optim.SGD([{"params": [p]}, {"params": [torch.zeros(1)], "lr": 1.0}], lr=0.1)
        own = {names.get(name, name): value for name, value in options.items()}
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **own)
        values = elements({"shape": [30], "recipe": "uniform", "low": -1 if i > 2 else 0.5, "high": 1}, f"plateau/{i}")
        rates = []
        for value in values:
            scheduler.step(value)
            rates.append([group["lr"] for group in optimizer.param_groups])
        content.append({"options": options, "values": values, "rates": rates})
    return content


def write_schedules():
    cases = [
        ("cosine", {"from": 0.1, "to": 0.01, "steps": 29}, lambda s, o: s.CosineAnnealingLR(o, 29, 0.01)),
        ("cosineRestarts", {"from": 0.1, "to": 0.01, "steps": 7}, lambda s, o: s.CosineAnnealingWarmRestarts(o, 7, 1, 0.01)),
        ("cosineRestarts", {"from": 0.1, "steps": 4, "multiply": 2}, lambda s, o: s.CosineAnnealingWarmRestarts(o, 4, 2)),
        ("polynomial", {"from": 0.1, "steps": 20}, lambda s, o: s.PolynomialLR(o, 20)),
        ("polynomial", {"from": 0.1, "steps": 20, "power": 2.5}, lambda s, o: s.PolynomialLR(o, 20, 2.5)),
        ("polynomial", {"from": 0.1, "to": 0.03, "steps": 12}, lambda s, o: s.LinearLR(o, 1.0, 0.3, 12)),
        ("exponential", {"from": 0.1, "factor": 0.9}, lambda s, o: s.ExponentialLR(o, 0.9)),
        ("stepDecay", {"from": 0.1, "every": 7}, lambda s, o: s.StepLR(o, 7)),
        ("stepDecay", {"from": 0.1, "factor": 0.5, "at": [3, 11, 12]}, lambda s, o: s.MultiStepLR(o, [3, 11, 12], 0.5)),
        ("oneCycle", {"max": 0.1, "steps": 30}, lambda s, o: s.OneCycleLR(o, 0.1, 30, cycle_momentum=False)),
        (
            "oneCycle",
            {"max": 0.1, "steps": 22, "rising": 0.4, "divFactor": 10, "finalDivFactor": 50, "anneal": "linear"},
            lambda s, o: s.OneCycleLR(
                o, 0.1, 22, pct_start=0.4, div_factor=10, final_div_factor=50, anneal_strategy="linear", cycle_momentum=False
            ),
        ),
        (
            "oneCycle",
            {"max": 0.1, "steps": 30, "rising": 0.4, "threePhase": True},
            lambda s, o: s.OneCycleLR(o, 0.1, 30, pct_start=0.4, three_phase=True, cycle_momentum=False),
        ),
    ]
    content = [
        {"name": name, "options": options, "rates": scheduled(0.1, make, min(30, options["steps"]) if name == "oneCycle" else 30)}
        for name, options, make in cases
    ]
    # Keras's CosineDecay with warmup_target and warmup_steps, and its ExponentialDecay.
    half = lambda step: 0.1 * 0.5 * (1 + math.cos(math.pi * min(step, 24) / 24))
    warmed = keras(lambda step: 0.1 * step / 5 if step < 5 else half(step - 5))
    content.append({"name": "cosine", "options": {"from": 0.1, "steps": 29, "warmup": 5}, "rates": warmed})
    content.append(
        {
            "name": "exponential",
            "options": {"from": 0.1, "factor": 0.5, "every": 10},
            "rates": keras(lambda step: 0.1 * 0.5 ** (step / 10)),
        }
    )
    warmups = [
        {
            "steps": 6,
            "from": 0.025,
            "then": {"name": "exponential", "options": {"from": 0.1, "factor": 0.8}},
            "rates": scheduled(0.1, lambda s, o: warm(s, o, 0.25, 6, s.ExponentialLR(o, 0.8))),
        },
        {"steps": 6, "from": 0.025, "then": 0.1, "rates": scheduled(0.1, lambda s, o: s.LinearLR(o, 0.25, 1.0, 6))},
    ]
    write("schedules.json", {"schedules": content, "warmups": warmups, "plateaus": plateaus()})


# a convolutional network: six steps with batch normalisation and pooling, then an evaluation


def convolutional():
    model = torch.nn.Sequential(
        torch.nn.Conv2d(2, 3, 3, padding=1, bias=False),
        torch.nn.BatchNorm2d(3, eps=1e-3, momentum=0.2),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(3, 4, 3),
        torch.nn.Tanh(),
        torch.nn.Flatten(),
        torch.nn.Linear(16, 3),
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            low = 0.5 if name == "1.weight" else -0.5
            parameter.copy_(uniform(list(parameter.shape), low, low + 1, f"convolutional/{name}"))
    return model


def write_convolutional():
    model = convolutional()
    x = uniform([6, 8, 8, 2], -2, 2, "convolutional/x")
    labels = torch.arange(6) % 3
    content = {"start": {name: plain(parameter) for name, parameter in model.named_parameters()}, "x": plain(x)}
    # As for the optimizers: L2 leaves vectors out, and the velocity starts from zero.
    vectors = [parameter for parameter in model.parameters() if parameter.dim() < 2]
    weights = [parameter for parameter in model.parameters() if parameter.dim() >= 2]
    groups = [{"params": weights, "weight_decay": 0.05}, {"params": vectors, "weight_decay": 0}]
    optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9)
    for parameter in model.parameters():
        optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    losses, steps = [], []
    for _ in range(6):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(first(x)), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        state = {name: plain(value) for name, value in model.state_dict().items() if "num_batches" not in name}
        steps.append(state)
    model.eval()
    content["losses"] = losses
    content["steps"] = steps
    content["evaluation"] = plain(model(first(x)))
    write("convolutional.json", content)


# programs: losses of each step and what is learnt, one after the other, of trainings as test/train/trainings.test.ts has them


class Net:
    """Linear layers with tanh in between."""

    def __init__(self, name, *sizes):
        self.parameters = []
        for i, (inner, out) in enumerate(zip(sizes, sizes[1:])):
            self.parameters.append(uniform([out, inner], -1, 1, f"{name}/{i}/weight").requires_grad_())
            self.parameters.append(uniform([out], -1, 1, f"{name}/{i}/bias").requires_grad_())

    def __call__(self, x):
        last = len(self.parameters) - 2
        for i in range(0, last + 1, 2):
            x = F.linear(x, self.parameters[i], self.parameters[i + 1])
            if i < last:
                x = torch.tanh(x)
        return x

    def learns(self, on):
        for p in self.parameters:
            p.requires_grad_(on)


def rows(name, shape, low=-1, high=1):
    return uniform(shape, low, high, name)


def sgd(parameters, rate):
    return torch.optim.SGD(parameters, lr=rate)


def update(optimizer, loss):
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return [loss]


def lstm():
    w, u, b, out = (
        rows(f"lstm/{name}", shape).requires_grad_()
        for name, shape in (("w", [8, 3]), ("u", [8, 2]), ("b", [8]), ("out", [1, 2]))
    )
    optimizer = sgd([w, u, b, out], 0.5)
    seen = []
    for step in range(6):
        if step % 2 == 0:
            h = c = torch.zeros(2, 2)
        for t in range(5):
            i, f, g, o = (rows(f"lstm/x/{step}/{t}", [2, 3]) @ w.t() + h @ u.t() + b).chunk(4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        seen += update(optimizer, F.mse_loss(h @ out.t(), rows(f"lstm/y/{step}", [2, 1])))
        h, c = h.detach(), c.detach()
    return seen + [w, u, b, out]


def gan():
    g, d = Net("gan/g", 2, 4, 3), Net("gan/d", 3, 4, 1)
    generator_step, critic_step = sgd(g.parameters, 0.2), sgd(d.parameters, 0.1)
    one, zero = torch.ones(4, 1), torch.zeros(4, 1)
    bce = F.binary_cross_entropy_with_logits
    seen = []
    for step in range(6):
        real, z = rows(f"gan/x/{step}", [4, 3]), rows(f"gan/z/{step}", [4, 2])
        seen += update(critic_step, bce(d(real), one) + bce(d(g(z).detach()), zero))
        seen += update(generator_step, bce(d(g(z)), one))
    return seen + g.parameters + d.parameters


def distillation():
    teacher, student = Net("distillation/teacher", 3, 5, 2), Net("distillation/student", 3, 2)
    teacher.learns(False)
    optimizer = sgd(student.parameters, 0.2)
    seen = []
    for step in range(6):
        x = rows(f"distillation/x/{step}", [4, 3])
        labels = torch.arange(4) % 2
        p = student(x)
        soft = -(F.softmax(teacher(x) / 2, 1) * F.log_softmax(p / 2, 1)).sum(1).mean()
        seen += update(optimizer, F.cross_entropy(p, labels) * 0.25 + soft * 0.75)
    return seen + student.parameters


def fine_tuning(adam):
    body, head = Net("tuning/body", 3, 4), Net("tuning/head", 4, 2)
    parameters = body.parameters + head.parameters
    optimizer = torch.optim.Adam(parameters, lr=0.1) if adam else sgd(parameters, 0.2)
    seen = []
    for step in range(9):
        body.learns(step >= 3)
        head.learns(step < 6)
        x = rows(f"tuning/x/{step}", [4, 3])
        seen += update(optimizer, head(torch.tanh(body(x))).sub(1).square().mean())
    return seen + parameters


def transfer(adam):
    """A body with batch normalisation, frozen, learning, and then its beginning frozen again: in PyTorch by two calls."""
    body = torch.nn.Sequential(
        torch.nn.Conv2d(1, 3, 3, bias=False),
        torch.nn.BatchNorm2d(3),
        torch.nn.ReLU(),
        torch.nn.Conv2d(3, 4, 3, bias=False),
        torch.nn.BatchNorm2d(4, affine=False),
        torch.nn.Tanh(),
    )
    model = torch.nn.Sequential(body, torch.nn.Linear(4, 2))
    with torch.no_grad():
        for name, p in model.named_parameters():
            spatial = p.dim() == 4
            values = rows(f"transfer/{name}", list((last(p) if spatial else p).shape))
            p.copy_(first(values) if spatial else values)

    def trainable(part, on):
        part.requires_grad_(on)
        part.train(on)

    weights, vectors = ([p for p in model.parameters() if (p.dim() > 1) == many] for many in (True, False))
    groups = [{"params": weights, "weight_decay": 0.05}, {"params": vectors, "weight_decay": 0}]
    if adam:
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.05, weight_decay=0.05)
    else:
        optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9)
    seen = []
    for step in range(12):
        trainable(body, step >= 3)
        if step >= 9:
            trainable(body[:2], False)
        x = first(rows(f"transfer/x/{step}", [4, 7, 7, 1]))
        seen += update(optimizer, F.cross_entropy(model[1](body(x).mean((2, 3))), torch.arange(4) % 2))
        if step % 3 == 2:
            seen += [(last(p) if p.dim() == 4 else p).detach().clone() for p in model.parameters()]
            seen += [value.clone() for i in (1, 4) for value in (body[i].running_mean, body[i].running_var)]
    return seen


def siamese():
    encoder = Net("siamese", 3, 4, 2)
    optimizer = sgd(encoder.parameters, 0.3)
    seen = []
    for step in range(6):
        a = rows(f"siamese/a/{step}", [4, 3])
        b = a if step % 3 == 0 else rows(f"siamese/b/{step}", [4, 3])
        same = (torch.arange(4) % 2).to(torch.float64)
        distance = (encoder(a) - encoder(b)).square().sum(1)
        seen += update(optimizer, (same * distance + (1 - same) * torch.relu(1 - distance)).mean())
    return seen + encoder.parameters


def dqn():
    q, target = Net("dqn", 3, 5, 2), Net("dqn", 3, 5, 2)
    optimizer = sgd(q.parameters, 0.2)
    seen = []
    for step in range(8):
        if step % 3 == 0:
            with torch.no_grad():
                for p, own in zip(target.parameters, q.parameters):
                    p.copy_(own)
        state, after = rows(f"dqn/x/{step}", [4, 3]), rows(f"dqn/next/{step}", [4, 3])
        taken = F.one_hot(torch.arange(4) % 2, 2).to(torch.float64)
        with torch.no_grad():
            wanted = rows(f"dqn/reward/{step}", [4]) + 0.9 * target(after).max(1)[0]
        seen += update(optimizer, F.huber_loss((q(state) * taken).sum(1), wanted))
    return seen + q.parameters + target.parameters


def accumulation():
    net = Net("accumulation", 3, 4, 1)
    optimizer = sgd(net.parameters, 0.5)
    seen = []
    for step in range(9):
        loss = net(rows(f"accumulation/x/{step}", [4, 3])).square().mean()
        (loss / 3).backward()
        seen.append(loss)
        if step % 3 == 2:
            torch.nn.utils.clip_grad_norm_(net.parameters, 0.25)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    return seen + net.parameters


def averaging():
    net, average = Net("averaging", 3, 4, 1), Net("averaging", 3, 4, 1)
    optimizer = sgd(net.parameters, 0.3)
    seen = []
    for step in range(6):
        x = rows(f"averaging/x/{step}", [4, 3])
        seen += update(optimizer, net(x).sub(1).square().mean())
        with torch.no_grad():
            for p, own in zip(average.parameters, net.parameters):
                p.lerp_(own, 0.25)
            seen.append(average(x).mean())
    return seen + net.parameters + average.parameters


def two_tasks():
    body, first_head, second_head = Net("tasks/body", 3, 4), Net("tasks/first", 4, 1), Net("tasks/second", 4, 2)
    parameters = body.parameters + first_head.parameters + second_head.parameters
    optimizer = sgd(parameters, 0.2)
    seen = []
    for step in range(6):
        x = rows(f"tasks/x/{step}", [4, 3])
        hidden = torch.tanh(body(x))
        weight = 1 / (step // 2 + 1)
        value = first_head(hidden).sub(1).square().mean()
        kind = F.cross_entropy(second_head(hidden), torch.arange(4) % 2)
        seen += update(optimizer, value * weight + kind * (1 - weight))
    return seen + parameters


def write_programs():
    programs = {
        "lstm": lstm(),
        "gan": gan(),
        "distillation": distillation(),
        "fineTuning": fine_tuning(False),
        "fineTuningByAdam": fine_tuning(True),
        "transfer": transfer(False),
        "transferByAdamW": transfer(True),
        "siamese": siamese(),
        "dqn": dqn(),
        "accumulation": accumulation(),
        "averaging": averaging(),
        "twoTasks": two_tasks(),
    }
    write("programs.json", {name: [value for x in seen for value in plain(x)] for name, seen in programs.items()})


def write_transformer():
    seen = transformer(rows)
    write("transformer.json", {name: [value for x in tensors for value in plain(x)] for name, tensors in seen.items()})


def write_recurrent():
    seen = recurrent(rows)
    write("recurrent.json", {name: [value for x in tensors for value in plain(x)] for name, tensors in seen.items()})


def write_second_order():
    seen = second_order(rows)
    write("secondOrder.json", {name: [value for x in tensors for value in plain(x)] for name, tensors in seen.items()})


# initializers: the mean, the standard deviation and the bound of many draws

INITIALIZERS = {
    "xavierNormal": lambda w: torch.nn.init.xavier_normal_(w),
    "xavierUniform": lambda w: torch.nn.init.xavier_uniform_(w),
    "heNormal": lambda w: torch.nn.init.kaiming_normal_(w, nonlinearity="relu"),
    "heUniform": lambda w: torch.nn.init.kaiming_uniform_(w, nonlinearity="relu"),
}


def write_initializers():
    torch.manual_seed(1)
    content = {}
    for name, fill in INITIALIZERS.items():
        rows = []
        for shape in ([300, 200], [50, 1000], [1000, 20]):
            w = fill(torch.empty(shape, dtype=torch.float64))
            rows.append({"shape": shape, "deviation": w.std().item(), "largest": w.abs().max().item()})
        content[name] = rows
    write("initializers.json", content)


FILES = {
    "trajectories": write_trajectories,
    "optimizers": write_optimizers,
    "schedules": write_schedules,
    "convolutional": write_convolutional,
    "programs": write_programs,
    "recurrent": write_recurrent,
    "secondOrder": write_second_order,
    "transformer": write_transformer,
    "initializers": write_initializers,
}


def main():
    ops = {}
    for case in json.load(sys.stdin):
        ops.setdefault(case["op"], []).append(case)
    again = "--again" in sys.argv
    names = [name for name in sys.argv[1:] if name != "--again"]
    for name in names:
        if name not in ops and name not in FILES:
            raise SystemExit(f"{name}: expected one of {', '.join([*ops, *FILES])}")
    torch.set_default_dtype(torch.float64)
    os.makedirs(os.path.join(HERE, "ops"), exist_ok=True)
    for op, cases in ops.items():
        if not names or op in names:
            write_op(op, cases, again)
    for file in os.listdir(os.path.join(HERE, "ops")):
        if file[: -len(".json")] not in ops:
            os.remove(os.path.join(HERE, "ops", file))
    for name, make in FILES.items():
        if (not names or name in names) and (again or not os.path.exists(os.path.join(HERE, f"{name}.json"))):
            make()


main()
