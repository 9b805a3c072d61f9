#!/usr/bin/python3
"""Make samples.json and samples/*.safetensors: twenty updates of samples, as PyTorch computes them in float64.

    apt install python3-torch && /usr/bin/python3 tests/pytorch/samples.py

Each case is {"options": of mtc's command line, "losses": [...]}.  The trainer
begins with the weights of samples/NAME.safetensors, takes the rows in the
order of the file (--no-shuffle) and stops after 20 updates; its losses are
those of here.  Sizes are small, so that the files are.
"""
import csv
import gzip
import json
import math
import os
import struct

import torch
from torch import nn
from torch.nn.functional import cross_entropy, max_pool2d, adaptive_avg_pool2d, mse_loss

STEPS = 20
torch.manual_seed(3)
here = os.path.dirname(os.path.abspath(__file__))
data = os.path.join(here, "..", "..", "samples", "data")
cases = {}


def idx(name):
    with gzip.open(os.path.join(data, name)) as file:
        rank = file.read(4)[3]
        shape = struct.unpack(">%dI" % rank, file.read(4 * rank))
        return torch.tensor(list(file.read())).reshape(shape)


def table(name):
    with gzip.open(os.path.join(data, name), "rt") as file:
        return torch.tensor([[float(v) for v in row] for row in list(csv.reader(file))[1:]]).double()


def save(name, net):
    """A safetensors file: the header's length, the header, the floats."""
    header, body = {"__metadata__": {"format": "pt"}}, b""
    for key, value in net.state_dict().items():
        piece = value.float().numpy().tobytes()
        header[key] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [len(body), len(body) + len(piece)]}
        body += piece
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    os.makedirs(os.path.join(here, "samples"), exist_ok=True)
    with open(os.path.join(here, "samples", name + ".safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + body)


def case(name, options, net, batches, loss_of, rate, warmup, clip=None, decay=0.01):
    """The first updates are within the warmup, so the length of the whole training does not matter."""
    assert STEPS <= warmup
    save(name, net)
    net = net.double()  # from weights that floats hold
    adam = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=decay)
    losses = []
    for step in range(STEPS):
        adam.param_groups[0]["lr"] = rate * (step + 1) / warmup
        adam.zero_grad()
        loss = loss_of(net, *batches(step))
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_(net.parameters(), clip)
        adam.step()
        losses.append(loss.item())
    cases[name] = {"options": options, "losses": losses}
    print(name, losses[0], "->", losses[-1], sum(p.numel() for p in net.parameters()), "parameters")


class Glyphs(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2, self.conv3 = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1), nn.Conv2d(32, 64, 3, padding=1)
        self.norm2, self.norm3, self.fc = nn.BatchNorm2d(32), nn.BatchNorm2d(64), nn.Linear(576, 10)

    def forward(self, x):
        x = max_pool2d(torch.relu(self.conv1(x[:, None] / 255)), 2)
        x = max_pool2d(torch.relu(self.norm2(self.conv2(x))), 2)
        return self.fc(adaptive_avg_pool2d(torch.relu(self.norm3(self.conv3(x))), 3).flatten(1))


class Names(nn.Module):
    def __init__(self, d=8, h=16):
        super().__init__()
        self.letters, self.gru, self.fc = nn.Embedding(128, d), nn.GRU(d, h, batch_first=True), nn.Linear(h, 128)

    def forward(self, ids):
        return self.fc(self.gru(self.letters(ids))[0])


class Temperature(nn.Module):
    def __init__(self, h=8):
        super().__init__()
        self.lstm, self.fc = nn.LSTM(4, h, batch_first=True), nn.Linear(h, 1)

    def forward(self, hour, x):
        angle = (hour[:, None] + torch.arange(24)) * 2 * math.pi / 24
        seen, _ = self.lstm(torch.stack([(x - x[:, -1:]) / 5, x / 15, angle.cos(), angle.sin()], -1))
        return x[:, -1] + self.fc(seen[:, -1])[:, 0]


def rows(step, size, *fields):
    return [f[size * step:size * (step + 1)] for f in fields]


x, y = idx("glyphs-train-images.idx.gz").double(), idx("glyphs-train-labels.idx.gz")
case("glyphs-cnn", "", Glyphs(), lambda step: rows(step, 64, x, y), lambda net, x, y: cross_entropy(net(x), y), 3e-3, 50)

with open(os.path.join(data, "names-train.txt"), "rb") as file:
    windows = torch.tensor(list(file.read())).unfold(0, 33, 4)
case("names-rnn", "-D D=8 -D H=16", Names(), lambda step: rows(step, 32, windows),
     lambda net, w: cross_entropy(net(w[:, :-1]).flatten(0, 1), w[:, 1:].flatten()), 5e-3, 20, clip=1.0, decay=0.05)

days = table("temperature-train.csv.gz")
case("temperature-lstm", "-D H=8", Temperature(), lambda step: rows(step, 64, days),
     lambda net, d: mse_loss(net(d[:, 0], d[:, 1:25]), d[:, 25]), 5e-3, 50, clip=10.0)

with open(os.path.join(here, "samples.json"), "w") as file:
    json.dump(cases, file, indent=1)
    file.write("\n")
