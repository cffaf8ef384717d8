"""
Training steps of torch_workloads.py by PyTorch's DistributedDataParallel over Gloo: each rank has a share of the batch, which
is the workload's own however many ranks there are. One JSON line of times, in microseconds:

    /usr/bin/python3 benchmark/torch_distributed.py --workload vgg --ranks 2 --threads 1 [--bucket-mb 25] [--seconds 5]

`step` is the best of five rounds of whole steps, `median` that of single steps, both as rank 0 sees them, and `apart` what a
step takes, best of five rounds as well, where ranks keep their gradients to themselves: the rest of `step` is what of the
all-reduce was not hidden. One rank is a process without DistributedDataParallel. Each rank has BatchNorm of its own share.

The ranks are processes of this machine, or, where RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT are set, this one is one of
those that somebody else starts (with GLOO_SOCKET_IFNAME, the interface to talk by); each has to be given the same options.
"""
import argparse
import contextlib
import json
import os
import resource
import socket
import statistics
import time
from datetime import timedelta


def read_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--workload", default="mlp")
    parser.add_argument("--ranks", type=int, help="WORLD_SIZE where that is set, 1 otherwise")
    parser.add_argument("--threads", type=int, default=1, help="of each rank")
    parser.add_argument("--bucket-mb", type=float, default=25, help="MiB of gradients to an all-reduce")
    parser.add_argument("--bucket-view", action="store_true", help="gradients are views of buckets: nothing is copied")
    parser.add_argument("--seconds", type=float, default=5)
    own = parser.parse_args()
    given = int(os.environ["WORLD_SIZE"]) if "RANK" in os.environ else None
    if own.ranks is None:
        own.ranks = given or 1
    if given not in (None, own.ranks):
        parser.error(f"--ranks: expected WORLD_SIZE, {given}, got {own.ranks}")
    if own.ranks < 1 or own.threads < 1:
        parser.error(f"expected 1 or more ranks and threads, got {own.ranks} and {own.threads}")
    return parser, own


parser, arguments = read_arguments()
# Which OpenBLAS reads while it is loaded.
os.environ["OMP_NUM_THREADS"] = str(arguments.threads)

import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
import torch.multiprocessing as mp  # noqa: E402
from torch.nn.parallel import DistributedDataParallel  # noqa: E402
from torch_workloads import makers  # noqa: E402


def together(number):
    """Rank 0's, on all ranks, which go on at the same time."""
    if arguments.ranks == 1:
        return number
    box = torch.tensor([number])
    dist.broadcast(box, 0)
    dist.barrier()
    return int(box)


def measure(step):
    """Seconds of a step: the mean of each of five rounds, a fifth of the time long, and of each step in them."""
    # Buckets are put in the order of gradients after the first.
    for _ in range(5):
        step()
    together(0)
    start = time.perf_counter()
    for _ in range(3):
        step()
    count = together(max(3, int(arguments.seconds / 5 * 3 / (time.perf_counter() - start))))
    rounds, steps = [], []
    for _ in range(5):
        together(0)
        start = before = time.perf_counter()
        for _ in range(count):
            step()
            now = time.perf_counter()
            steps.append(now - before)
            before = now
        rounds.append((before - start) / count)
    return rounds, steps


def run(rank):
    """What a rank does."""
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    model, optimizer, loss_function, x, y = makers[arguments.workload]()
    batch = len(x)
    if arguments.ranks > batch:
        parser.error(f"--ranks: expected at most {batch}, the batch, got {arguments.ranks}")
    weight = 1
    if arguments.ranks > 1:
        # A rank that is gone is an error after this, not half an hour.
        dist.init_process_group("gloo", rank=rank, world_size=arguments.ranks, timeout=timedelta(seconds=60))
        x, y = (whole.tensor_split(arguments.ranks)[rank].clone() for whole in (x, y))
        # DistributedDataParallel takes the mean over ranks, whatever their shares.
        weight = len(x) * arguments.ranks / batch
        model = DistributedDataParallel(
            model, bucket_cap_mb=arguments.bucket_mb, gradient_as_bucket_view=arguments.bucket_view
        )

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = loss_function(model(x), y)
        (loss if weight == 1 else loss * weight).backward()
        optimizer.step()

    rounds, steps = measure(step)
    with model.no_sync() if arguments.ranks > 1 else contextlib.nullcontext():
        apart, _ = measure(step) if arguments.ranks > 1 else (rounds, steps)
    if rank == 0:
        result = {
            "workload": arguments.workload,
            "system": f"PyTorch {torch.__version__}" + (", DDP, Gloo" if arguments.ranks > 1 else ""),
            "ranks": arguments.ranks,
            "threads": arguments.threads,
            "batch": batch,
            "bucketMb": arguments.bucket_mb,
            "gradientMb": sum(p.numel() * p.element_size() for p in model.parameters()) / 2**20,
            "step": min(rounds) * 1e6,
            "median": statistics.median(steps) * 1e6,
            "apart": min(apart) * 1e6,
            "steps": len(steps),
            "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10,
        }
        print(json.dumps(result), flush=True)
    if arguments.ranks > 1:
        # So that nobody takes the connections of one that is still at work.
        dist.barrier()
        dist.destroy_process_group()


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


if __name__ == "__main__":
    if arguments.workload not in makers:
        parser.error(f"--workload: expected one of {', '.join(makers)}, got {arguments.workload}")
    if "RANK" in os.environ:
        run(int(os.environ["RANK"]))
    elif arguments.ranks == 1:
        run(0)
    else:
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(free_port()))
        # What a machine's own name leads to need not be there.
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        mp.spawn(run, nprocs=arguments.ranks)
