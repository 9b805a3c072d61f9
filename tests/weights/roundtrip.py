#!/usr/bin/env python3
"""Weights from mtc's trainers to PyTorch and back, through the `safetensors` package.

    python3 -m venv --system-site-packages venv && venv/bin/pip install safetensors transformers==4.30.2
    venv/bin/python tests/weights/roundtrip.py build/bin/mtc

Each model is trained a little, exported, loaded strictly by an equal PyTorch
module, and both predict; then PyTorch's own fresh weights are saved, read with
--init, and both predict again.  The files of the second way are kept beside
this script: the suite reads them without Python.  A GPT-2 made by transformers
goes the second way only, under its own names.
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


class RMSNorm(nn.Module):  # PyTorch has it from 2.4 on
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + torch.finfo(torch.float32).eps) * self.weight


class Picture(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.conv2, self.gn = nn.Conv2d(4, 4, (3, 2), 2, (1, 0), groups=2, bias=False), nn.GroupNorm(2, 4)
        self.up, self.inorm = nn.ConvTranspose2d(4, 3, 2, 2), nn.InstanceNorm2d(3, affine=True)

    def forward(self, x):
        return self.inorm(self.up(self.gn(self.conv2(torch.relu(self.bn(self.conv1(x)))))))


class Signal(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv1d(3, 6, 4, 4, groups=3), nn.BatchNorm1d(6, momentum=0.3)
        self.up = nn.ConvTranspose1d(6, 8, 3, 2, bias=False)

    def forward(self, x):
        return self.up(torch.tanh(self.bn(self.conv(x))))[:, :, :6].transpose(1, 2)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        make = lambda kind, i, o, **options: kind(i, o, batch_first=True, **options)
        self.rnn, self.gru, self.plain = make(nn.RNN, 8, 7), make(nn.GRU, 7, 6), make(nn.GRU, 6, 5, bias=False)
        self.lstm, self.states = make(nn.LSTM, 5, 8), make(nn.LSTM, 8, 8)

    def forward(self, x):
        y = self.lstm(self.plain(self.gru(self.rnn(x)[0])[0])[0])[0]
        z, (h, c) = self.states(y)
        return y + z + (h * c).transpose(0, 1)


class Cells(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.lstm, self.g = nn.RNNCell(8, 8), nn.LSTMCell(8, 8), nn.GRUCell(8, 8)

    def forward(self, x):
        h, c = self.lstm(self.rnn(x))
        return self.g(h, c)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.att = RMSNorm(8), nn.MultiheadAttention(8, 2, batch_first=True)
        self.ln, self.fc = nn.LayerNorm(8), nn.Linear(8, 8, bias=False)

    def forward(self, x):
        y, mask = self.norm(x), torch.ones(6, 6).tril() == 0
        a = x + self.att(y, y, y, attn_mask=mask)[0]
        return a + nn.functional.gelu(self.fc(self.ln(a)))


class Layers(nn.Module):
    def __init__(self):
        super().__init__()
        self.picture, self.signal, self.table, self.recurrent = Picture(), Signal(), nn.Embedding(11, 8), Recurrent()
        self.b, self.cells, self.head = nn.Sequential(Block(), Block(), Block()), Cells(), nn.Linear(8, 5)

    def forward(self, x, ids):
        y = self.recurrent(self.signal(self.picture(x).flatten(2)) + self.table(ids))
        return self.head(self.cells(self.b(y)[:, -1]))

    @staticmethod
    def inputs(rows):
        return torch.randn(rows, 2, 8, 8), torch.randint(0, 11, (rows, 6))


class GPT2(nn.Module):
    """Hugging Face's, with its names."""

    def __init__(self):
        super().__init__()
        from transformers import GPT2Config, GPT2LMHeadModel

        self.model = GPT2LMHeadModel(GPT2Config(vocab_size=32, n_positions=8, n_embd=16, n_layer=2, n_head=2)).eval()

    def forward(self, ids):
        return self.model(ids).logits

    @staticmethod
    def inputs(rows):
        return torch.randint(0, 32, (rows, 8))


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def predict(trainer, x, folder, *options):
    """x: a tensor, or one a field."""
    paths = []
    for i, field in enumerate(x if isinstance(x, tuple) else (x,)):
        paths.append(os.path.join(folder, "x%d.npy" % i))
        np.save(paths[-1], field.numpy() if field.is_floating_point() else field.int().numpy())
    run(trainer, "predict", *paths, "-o", os.path.join(folder, "y.npy"), "--data-dir", here, *options)
    return torch.from_numpy(np.load(os.path.join(folder, "y.npy")))


def difference(name, way, ours, theirs):
    worst = (ours - theirs).abs().max().item()
    print("%-8s %-22s largest difference of %d outputs: %.1e" % (name, way, theirs.numel(), worst))
    return worst <= 1e-5


def asked(net, x):
    net.eval()
    with torch.no_grad():
        return net(*x) if isinstance(x, tuple) else net(x)


def to_pytorch(name, trainer, kind, options, folder):
    weights = os.path.join(folder, name + ".safetensors")
    run(trainer, "--quiet", "--save-dir", folder, "--export", weights, *options)
    net, x = kind(), kind.inputs(37)
    ours, theirs = load_file(weights), net.state_dict()
    assert {k: (v.shape, v.dtype) for k, v in ours.items()} == {k: (v.shape, v.dtype) for k, v in theirs.items()}
    net.load_state_dict(ours, strict=True)
    return difference(name, "trainer -> PyTorch", predict(trainer, x, folder, "--init", weights), asked(net, x))


def disturb(net):
    """A fresh norm is all ones and zeros, and has seen no batch."""
    for p in net.parameters():
        p.data += 0.1 * torch.randn_like(p)
    for key, state in net.named_buffers():
        if key.endswith("running_mean"):
            state += 0.3 * torch.randn_like(state)
        elif key.endswith("running_var"):
            state += torch.rand_like(state)
        elif key.endswith("num_batches_tracked"):
            state += 3


def keep(name, net, kind):
    """The files the suite reads: weights, inputs, and what PyTorch makes of them."""
    kept, x = os.path.join(here, name), kind.inputs(37)
    for i, field in enumerate(x if isinstance(x, tuple) else (x,)):
        np.save("%s-%s.npy" % (kept, "xyz"[2 * i]), field.numpy() if field.is_floating_point() else field.int().numpy())
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, kept + ".safetensors")
    y = asked(net, x)
    np.save(kept + "-y.npy", y.numpy())
    return x, y


def round_trip(name, model, kind, options, folder):
    trainer = os.path.join(folder, name)
    run(mtc, "build", model, "--target=c", "-o", trainer)
    ok = to_pytorch(name, trainer, kind, options, folder)
    torch.manual_seed(7)
    net = kind()
    disturb(net)
    x, y = keep(name, net, kind)
    ours = predict(trainer, x, folder, "--init", os.path.join(here, name + ".safetensors"))
    return difference(name, "PyTorch -> trainer", ours, y) and ok


def from_transformers(name, folder):
    torch.manual_seed(7)
    net = GPT2()
    disturb(net)
    x = GPT2.inputs(37)
    tensors = {k: v.clone().contiguous() for k, v in net.model.state_dict().items()}  # one of them is the head, too
    save_file(tensors, os.path.join(here, name + ".safetensors"))
    y = asked(net, x)
    np.save(os.path.join(here, name + "-x.npy"), x.int().numpy())
    np.save(os.path.join(here, name + "-y.npy"), y.numpy())
    trainer = os.path.join(folder, name)
    run(mtc, "build", os.path.join(here, name + ".mt"), "--target=c", "-o", trainer)
    return difference(name, "transformers -> trainer", predict(trainer, x, folder), y)


with tempfile.TemporaryDirectory() as folder:
    ok = round_trip("digits", os.path.join(samples, "digits.mt"), Digits, ["--epochs", "2", "--data-dir", samples], folder)
    ok &= round_trip("norm", os.path.join(here, "norm.mt"), Norm, [], folder)
    ok &= round_trip("layers", os.path.join(here, "layers.mt"), Layers, [], folder)
    ok &= from_transformers("gpt2", folder)
sys.exit(not ok)
