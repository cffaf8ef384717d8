"""Answers on stdout, for each line of JSON on stdin, with the seconds that a pass of a layer takes: the best of so many."""
import json
import os
import sys
import time

import torch

threads = int(os.environ["OMP_NUM_THREADS"])
torch.set_num_threads(threads)
last = (None, None)


def prepare(request):
    layer = request["layer"]
    axes = 1 if layer["flat"] else 2
    shape = [layer["batch"], layer["channels"]] + [layer["side"]] * axes
    made = [layer["batch"], layer["outChannels"]] + [layer["out"]] * axes
    kernel = [layer["outChannels"], layer["channels"] // layer["groups"]] + [layer["kernel"]] * axes
    if layer["transposed"]:
        shape, made = made, shape
    form = torch.channels_last if request["channelsLast"] and axes == 2 else torch.contiguous_format
    x, dy, w = (torch.randn(s).contiguous(memory_format=form) for s in (shape, made, kernel))
    stride, padding, dilation = ([layer[name]] * axes for name in ("stride", "padding", "dilation"))
    rest = (stride, padding, dilation, layer["transposed"], [0] * axes, layer["groups"])
    if layer["transposed"]:
        output = [layer["side"] - ((layer["out"] - 1) * layer["stride"] - 2 * layer["padding"] + layer["kernel"])] * 2
        rest = rest[:4] + (output,) + rest[5:]
    backward = torch.ops.aten.convolution_backward
    return {
        "output": lambda: torch.ops.aten.convolution(x, w, None, *rest),
        "gradient of the input": lambda: backward(dy, x, w, None, *rest, [True, False, False]),
        "gradient of the weight": lambda: backward(dy, x, w, None, *rest, [False, True, False]),
    }


for line in sys.stdin:
    request = json.loads(line)
    key = (request["layer"]["name"], request["channelsLast"])
    if last[0] != key:
        last = (key, prepare(request))
    run = last[1][request["pass"]]
    best = float("inf")
    with torch.no_grad():
        run()
        for _ in range(request["times"]):
            start = time.perf_counter()
            run()
            best = min(best, time.perf_counter() - start)
    print(best, flush=True)
