"""The workloads of torch_workloads.py: one JSON line each, microseconds of a step and of one inference."""
import argparse
import json
import resource
import time

import torch
from torch_workloads import makers

parser = argparse.ArgumentParser()
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--seconds", type=float, default=1.0)
parser.add_argument("--only", default=",".join(makers))
arguments = parser.parse_args()
torch.set_num_threads(arguments.threads)
torch.manual_seed(0)


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


idle = resident()


def best(call):
    """Microseconds a call: the best of five rounds, each a fifth of the time long."""
    for _ in range(3):
        call()
    start = time.perf_counter()
    call()
    count = max(3, int(arguments.seconds / 5 / max(time.perf_counter() - start, 1e-6)))
    rounds = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(count):
            call()
        rounds.append((time.perf_counter() - start) / count)
    return min(rounds) * 1e6


for name in arguments.only.split(","):
    model, optimizer, loss_function, x, y = makers[name]()

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss_function(model(x), y).backward()
        optimizer.step()

    def inference():
        with torch.no_grad():
            model(x[:1])

    step_time = best(step)
    model.eval()
    print(
        json.dumps(
            {
                "workload": name,
                "system": f"PyTorch {torch.__version__}",
                "step": step_time,
                "inference": best(inference),
                "idle": idle,
                "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10,
            }
        )
    )
