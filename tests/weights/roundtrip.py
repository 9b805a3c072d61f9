#!/usr/bin/env python3
"""Weights from mtc's trainers to PyTorch and back, through the `safetensors` package.

    python3 tests/weights/roundtrip.py build/bin/mtc

Each model is trained a little, exported, loaded strictly by an equal PyTorch
module, and both predict; then PyTorch's own fresh weights are saved, read with
--init, and both predict again.  The files of the second way are kept beside
this script: the suite reads them without Python.  Needs torch and safetensors.
"""
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

here = os.path.dirname(os.path.abspath(__file__))
samples = os.path.join(here, "..", "..", "samples")
mtc = os.path.abspath(sys.argv[1])


class Digits(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(64, 128), nn.Linear(128, 10)

    def forward(self, x):
        return torch.softmax(self.fc2(torch.relu(self.fc1(x / 16))), -1)

    @staticmethod
    def inputs(rows):
        return torch.randint(0, 17, (rows, 64)).float()


class Norm(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.norm = nn.Linear(12, 20), nn.LayerNorm(20)
        self.mid, self.head = nn.Linear(20, 20, bias=False), nn.Linear(20, 5)

    def forward(self, x):
        return self.head(torch.tanh(self.mid(nn.functional.gelu(self.norm(self.up(x))))))

    @staticmethod
    def inputs(rows):
        return torch.randn(rows, 12)


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def predict(trainer, weights, x, folder):
    np.save(os.path.join(folder, "x.npy"), x.numpy())
    run(trainer, "predict", os.path.join(folder, "x.npy"), "-o", os.path.join(folder, "y.npy"), "--init", weights)
    return torch.from_numpy(np.load(os.path.join(folder, "y.npy")))


def difference(name, way, ours, theirs):
    worst = (ours - theirs).abs().max().item()
    print("%-8s %-22s largest difference of %d outputs: %.1e" % (name, way, theirs.numel(), worst))
    return worst <= 1e-5


def round_trip(name, model, kind, options, folder):
    trainer, weights = os.path.join(folder, name), os.path.join(folder, name + ".safetensors")
    run(mtc, "build", model, "--target=c", "-o", trainer)
    run(trainer, "--quiet", "--save-dir", folder, "--export", weights, *options)
    net, x = kind(), kind.inputs(37)
    net.load_state_dict(load_file(weights), strict=True)
    ok = difference(name, "trainer -> PyTorch", predict(trainer, weights, x, folder), net(x).detach())

    torch.manual_seed(7)
    net, x, kept = kind(), kind.inputs(37), os.path.join(here, name)
    for p in net.parameters():  # a fresh LayerNorm is all ones and zeros
        p.data += 0.1 * torch.randn_like(p)
    save_file(net.state_dict(), kept + ".safetensors")
    np.save(kept + "-x.npy", x.numpy())
    np.save(kept + "-y.npy", net(x).detach().numpy())
    return difference(name, "PyTorch -> trainer", predict(trainer, kept + ".safetensors", x, folder), net(x).detach()) and ok


with tempfile.TemporaryDirectory() as folder:
    ok = round_trip("digits", os.path.join(samples, "digits.mt"), Digits, ["--epochs", "2", "--data-dir", samples], folder)
    ok &= round_trip("norm", os.path.join(here, "norm.mt"), Norm, [], folder)
sys.exit(not ok)
