#!/usr/bin/env python3
"""PyTorch as a resident child of bench/run:  peer_torch.py MODEL MODE FOLDER

MODE: eager, compile, or, on a GPU, graph (the whole step in one CUDA graph) and
compile+graph; `prepare` writes first weights, a batch and float64 gradients into
FOLDER, and `grads` those at the model's precision.
"""
import sys
import time

import numpy
import torch
from safetensors.torch import load_file, save_file

from models import WORK

SEVERAL, SMALL = 8, 1 << 20  # steps to a graph for models of fewer parameters, as mtc's trainers do
name, mode, folder = sys.argv[1:4]
work = WORK[name]
device = "cuda" if torch.cuda.is_available() else "cpu"


def batch(dtype):
    x, y = (torch.from_numpy(a) for a in work.batch())
    x = x.to(device, torch.long if work.tokens else dtype)
    y = y.to(device, torch.long if work.labels else dtype)
    return (x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x), y


def model_with(weights, dtype):
    model = work.make()
    if weights:
        model.load_state_dict(weights)
    model = model.to(device, dtype)
    return model.to(memory_format=torch.channels_last) if len(work.x) == 4 else model


def set_precision(precision):
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision != "f32"
    torch.backends.cudnn.benchmark = True


def loss_at(model, x, y, precision):
    with torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16"):
        return work.loss(model, x, y)


def gradients(weights, dtype, precision, path):
    set_precision(precision)
    model, (x, y) = model_with(weights, dtype), batch(dtype)
    loss = loss_at(model, x, y, precision)
    loss.backward()
    found = {k: p.grad.detach().cpu().contiguous() for k, p in model.named_parameters()}
    save_file(dict(found, loss=loss.detach().cpu().reshape(())), path)


def prepare():
    torch.manual_seed(1)
    save_file({k: v.contiguous() for k, v in work.make().state_dict().items()}, folder + "/weights.safetensors", {"format": "pt"})
    x, y = work.batch()
    numpy.savez(folder + "/batch.npz", x=x, y=y)
    gradients(load_file(folder + "/weights.safetensors"), torch.float64, "f32", folder + "/exact.safetensors")


def step_of(model, x, y):
    """One training step as a function: gradients into place, then one fused AdamW."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True, capturable=device == "cuda")
    forward = model if "compile" not in mode else torch.compile(model, mode="max-autotune-no-cudagraphs" if device == "cuda" else None)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss_at(forward, x, y, work.precision).backward()
        optimizer.step()
    return step


def captured(step, several):
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(several):
            step()
    return graph.replay


def serve():
    set_precision(work.precision)
    begin = time.perf_counter()
    model, (x, y) = model_with(load_file(folder + "/weights.safetensors"), torch.float32), batch(torch.float32)
    step = step_of(model, x, y)
    several = SEVERAL if sum(p.numel() for p in model.parameters()) < SMALL and "graph" in mode else 1
    play = captured(step, several) if "graph" in mode else step
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    play(), wait()
    first = time.perf_counter() - begin
    for _ in range(3):
        play()
    wait()
    print("ready %.3f" % first, flush=True)
    for line in sys.stdin:
        plays = -(-int(line) // several)
        begin = time.perf_counter()
        for _ in range(plays):
            play()
        wait()
        seconds = (time.perf_counter() - begin) * int(line) / (plays * several)
        print("%.9g %d" % (seconds, torch.cuda.max_memory_reserved() if device == "cuda" else 0), flush=True)


if mode == "prepare":
    prepare()
elif mode == "grads":
    gradients(load_file(folder + "/weights.safetensors"), torch.float32, work.precision, folder + "/torch.safetensors")
else:
    serve()
