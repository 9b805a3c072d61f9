#!/usr/bin/python3
"""Make samples.json: the first updates of samples, as PyTorch computes them in float64.

    apt install python3-torch && /usr/bin/python3 tests/pytorch/samples.py

Each case is {"sample", "edit": of its text, "options": of mtc's command line, "run": of the trainer's, "logs":
{name: [value of each update, ...]}}.  No weights are stored: draws.py makes the first ones and every draw of a step
a second time, from the names alone.  Rows are taken in the order of the file (--no-shuffle).
"""
import csv
import gzip
import json
import math
import os
import struct

import torch
from torch import nn
from torch.nn.functional import (adaptive_avg_pool2d, cross_entropy, gelu, leaky_relu, max_pool2d, mse_loss, softplus)

import draws

torch.set_default_dtype(torch.float64)
STEPS = 20
here = os.path.dirname(os.path.abspath(__file__))
data = os.path.join(here, "..", "..", "samples", "data")
cases = []


# ---- data ----


def idx(name):
    with gzip.open(os.path.join(data, name)) as file:
        rank = file.read(4)[3]
        shape = struct.unpack(">%dI" % rank, file.read(4 * rank))
        return torch.tensor(list(file.read())).reshape(shape)


def table(name):
    """As floats hold it."""
    with gzip.open(os.path.join(data, name), "rt") as file:
        rows = list(csv.reader(file))
    start = 0 if rows[0][0].replace(".", "").replace("-", "").isdigit() else 1
    return torch.tensor([[float(v) for v in row] for row in rows[start:]]).float().double()


def windows(name, width, stride):
    with open(os.path.join(data, name), "rb") as file:
        return torch.tensor(list(file.read())).unfold(0, width + 1, stride)


def batch(step, size, *fields):
    """Of an epoch after the other; the last batch of each may be short."""
    at = step % -(-len(fields[0]) // size) * size
    return [f[at:at + size] for f in fields]


# ---- training ----


def case(sample, options, logs, run="", edit=""):
    cases.append({"sample": sample, "edit": edit, "options": options, "run": run, "logs": logs})
    print(sample, {k: (v[0], v[-1]) for k, v in logs.items()})


def warm(rate, warmup):
    """The length of the whole training does not matter yet."""
    assert STEPS <= warmup
    return lambda step: rate * (step + 1) / warmup


def train(sample, options, net, batches, loss_of, optimizer, rate=None, clip=None, steps=STEPS, more="", edit="", parts=1):
    """`parts`: how many batches make an update."""
    logs = []
    for step in range(steps):
        if rate:
            optimizer.param_groups[0]["lr"] = rate(step)
        optimizer.zero_grad()
        losses = [loss_of(net, *batches(parts * step + part)) for part in range(parts)]
        (sum(losses) / parts).backward()
        if clip:
            nn.utils.clip_grad_norm_(net.parameters(), clip)
        optimizer.step()
        logs.append((sum(losses) / parts).item())
    case(sample, options, {"loss": logs}, more, edit)


def adamw(net, rate, decay=0.01):
    return torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=decay)


def classes(net, x, y):
    return cross_entropy(net(x), y)


def tokens(net, x, y):
    return cross_entropy(net(x).flatten(0, 1), y.flatten())


# ---- pictures and tables ----


class Digits(nn.Module):
    def __init__(self, h):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(64, h), nn.Linear(h, 10)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x / 16)))


class DigitsCNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2, self.conv3 = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1), nn.Conv2d(32, 64, 3, padding=1)
        self.fc = nn.Linear(256, 10)

    def forward(self, x):
        x = max_pool2d(torch.relu(self.conv2(torch.relu(self.conv1(x.reshape(-1, 1, 8, 8) / 16)))), 2)
        return self.fc(max_pool2d(torch.relu(self.conv3(x)), 2).flatten(1))


class Glyphs(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2, self.conv3 = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1), nn.Conv2d(32, 64, 3, padding=1)
        self.norm2, self.norm3, self.fc = nn.BatchNorm2d(32), nn.BatchNorm2d(64), nn.Linear(576, 10)

    def forward(self, x):
        x = max_pool2d(torch.relu(self.conv1(x[:, None] / 255)), 2)
        x = max_pool2d(torch.relu(self.norm2(self.conv2(x))), 2)
        return self.fc(adaptive_avg_pool2d(torch.relu(self.norm3(self.conv3(x))), 3).flatten(1))


class Regression(nn.Module):
    """Its dropout is a draw below 0.2, by row and column."""

    def __init__(self, h):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(10, h), nn.Linear(h, 1)

    def forward(self, x, step):
        h = gelu(self.fc1(x))
        kept = draws.rand("net.fc1.dropout", step, *h.shape) >= 0.2
        return 100 * self.fc2(h * kept / 0.8)[:, 0] + 150


digits = table("digits-train.csv.gz")
pictures, labels = digits[:, :64], digits[:, 64].long()
net = draws.begin(Digits(16))
train("digits", "-D H=16", net, lambda step: batch(step, 64, pictures, labels), classes, adamw(net, 1e-2), warm(1e-2, 50))
net = draws.begin(DigitsCNN())
train("digits-cnn", "-D B=16", net, lambda step: batch(step, 16, pictures, labels), classes, adamw(net, 5e-3), warm(5e-3, 20))
x, y = idx("glyphs-train-images.idx.gz").double(), idx("glyphs-train-labels.idx.gz")


def cropped(step, x, y):
    """Each picture moved by -1, 0 or 1 each way, and 0 where nothing was."""
    down, right = ((draws.rand("d.crop1." + way, step, len(x)) * 2**24).long() % 3 - 1 for way in ("down", "right"))
    around = nn.functional.pad(x, (1, 1, 1, 1))
    return torch.stack([p[1 + d:29 + d, 1 + r:29 + r] for p, d, r in zip(around, down, right)]), y


net = draws.begin(Glyphs())
train("glyphs-cnn", "", net, lambda step: cropped(step, *batch(step, 64, x, y)), classes, adamw(net, 3e-3), warm(3e-3, 50), steps=10)

# Twelve updates an epoch, of which the last sees one row.
patients = table("diabetes-train.csv.gz")
net = draws.begin(Regression(32))
train("regression", "", net, lambda step: batch(step, 32, patients) + [step],
      lambda net, d, step: mse_loss(net(d[:, :10], step) / 100, d[:, 10] / 100), adamw(net, 3e-3, 0.1), warm(3e-3, 20), clip=1.0)


# ---- sequences ----


class Names(nn.Module):
    def __init__(self, d, h):
        super().__init__()
        self.letters, self.gru, self.fc = nn.Embedding(128, d), nn.GRU(d, h, batch_first=True), nn.Linear(h, 128)

    def forward(self, ids):
        return self.fc(self.gru(self.letters(ids))[0])


class Temperature(nn.Module):
    def __init__(self, h):
        super().__init__()
        self.lstm, self.fc = nn.LSTM(4, h, batch_first=True), nn.Linear(h, 1)

    def forward(self, d):
        x, angle = d[:, 1:25], (d[:, :1] + torch.arange(24)) * 2 * math.pi / 24
        seen, _ = self.lstm(torch.stack([(x - x[:, -1:]) / 5, x / 15, angle.cos(), angle.sin()], -1))
        return x[:, -1] + self.fc(seen[:, -1])[:, 0]


class Speller(nn.Module):
    def __init__(self, v, h):
        super().__init__()
        self.letters, self.lstm1, self.lstm2 = nn.Embedding(v, h), nn.LSTM(h, h, batch_first=True), nn.LSTM(h, h, batch_first=True)
        self.fc = nn.Linear(h, v)

    def forward(self, ids):
        return self.fc(self.lstm2(self.lstm1(self.letters(ids))[0])[0])


class Attention(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.qkv, self.proj, self.heads = nn.Linear(d, 3 * d), nn.Linear(d, d), heads

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        scores = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).masked_fill(torch.ones(x.shape[1], x.shape[1]).tril() == 0, -math.inf)
        return self.proj((torch.softmax(scores, -1) @ v).transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, d, heads, approximate):
        super().__init__()
        self.ln1, self.att, self.ln2 = nn.LayerNorm(d), Attention(d, heads), nn.LayerNorm(d)
        self.up, self.down, self.gelu = nn.Linear(d, 4 * d), nn.Linear(4 * d, d), nn.GELU(approximate)

    def forward(self, x):
        x = x + self.att(self.ln1(x))
        return x + self.down(self.gelu(self.up(self.ln2(x))))


class GPT(nn.Module):
    def __init__(self, v, t, d, heads, layers, approximate="tanh"):
        super().__init__()
        self.wte, self.wpe = nn.Parameter(torch.zeros(v, d)), nn.Parameter(torch.zeros(t, d))
        self.b = nn.Sequential(*[Block(d, heads, approximate) for _ in range(layers)])
        self.lnf = nn.LayerNorm(d)

    def forward(self, ids):
        return self.lnf(self.b(self.wte[ids] + self.wpe)) @ self.wte.t()


net, w = draws.begin(Names(8, 16)), windows("names-train.txt", 32, 4)
train("names-rnn", "-D D=8 -D H=16", net, lambda step: batch(step, 32, w[:, :-1], w[:, 1:]), tokens, adamw(net, 5e-3, 0.05), warm(5e-3, 20), clip=1.0)
net, days = draws.begin(Temperature(8)), table("temperature-train.csv.gz")
train("temperature-lstm", "-D H=8", net, lambda step: batch(step, 64, days), lambda net, d: mse_loss(net(d), d[:, 25]), adamw(net, 5e-3), warm(5e-3, 50), clip=10.0)
net, w = draws.begin(GPT(128, 16, 16, 2, 2, "none")), windows("sonnets.txt", 16, 1)
train("sonnets", "-D B=4 -D T=16 -D D=16 -D H=2", net, lambda step: batch(step, 4, w[:, :-1], w[:, 1:]), tokens, adamw(net, 3e-3, 0.1), warm(3e-3, 20), clip=1.0)


def random_tokens(rows, t, v):
    source = draws.Rows(1)
    return source.below(v, rows, t), source.below(v, rows, t)


net, (x, y) = draws.begin(GPT(64, 8, 16, 2, 2)), random_tokens(48, 8, 64)
train("gpt2", "-D L=2 -D D=16 -D H=2 -D T=8 -D V=64 -D B=2", net, lambda step: batch(step, 2, x, y), tokens, adamw(net, 0.06, 0.1), warm(0.06, 700), clip=1.0,
      more="--lr 0.06", edit="s/tokens(\"data[^)]*)/random(rows: 48, seed: 1)/", parts=8)
net, (x, y) = draws.begin(GPT(65, 8, 24, 3, 2)), random_tokens(64, 8, 65)
train("benchmark/gpt_char_f32", "-D B=8 -D T=8 -D D=24 -D H=3 -D L=2", net, lambda step: batch(step, 8, x, y), tokens, adamw(net, 1e-3))
net, (x, y) = draws.begin(Speller(65, 12)), random_tokens(64, 10, 65)
train("benchmark/lstm", "-D B=8 -D T=10 -D H=12", net, lambda step: batch(step, 8, x, y), tokens, adamw(net, 1e-3))


# ---- larger pictures, at random ----


class LeNet(nn.Module):
    def __init__(self, h):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 32, 5, padding=2), nn.Conv2d(32, 64, 5, padding=2)
        self.fc1, self.fc2 = nn.Linear(3136, h), nn.Linear(h, 10)

    def forward(self, x):
        x = max_pool2d(torch.relu(self.conv2(max_pool2d(torch.relu(self.conv1(x)), 2))), 2)
        return self.fc2(torch.relu(self.fc1(x.flatten(1))))


class Same(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(c, c, 3, padding=1, bias=False), nn.BatchNorm2d(c)
        self.conv2, self.bn2 = nn.Conv2d(c, c, 3, padding=1, bias=False), nn.BatchNorm2d(c)

    def forward(self, x):
        return torch.relu(x + self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))))


class Half(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(c, 2 * c, 3, 2, 1, bias=False), nn.BatchNorm2d(2 * c)
        self.conv2, self.bn2 = nn.Conv2d(2 * c, 2 * c, 3, padding=1, bias=False), nn.BatchNorm2d(2 * c)
        self.downsample, self.norm = nn.Conv2d(c, 2 * c, 1, 2, bias=False), nn.BatchNorm2d(2 * c)

    def forward(self, x):
        return torch.relu(self.norm(self.downsample(x)) + self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))))


class ResNet18(nn.Module):
    def __init__(self, k):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        for i in range(4):
            setattr(self, "layer%d_0" % (i + 1), Half(32 << i) if i else Same(64))
            setattr(self, "layer%d_1" % (i + 1), Same(64 << i))
        self.fc = nn.Linear(512, k)

    def forward(self, x):
        x = max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for i in range(4):
            x = getattr(self, "layer%d_1" % (i + 1))(getattr(self, "layer%d_0" % (i + 1))(x))
        return self.fc(x.mean((2, 3)))


def random_pictures(rows, channels, size, k):
    source = draws.Rows(1)
    return source.floats(rows, channels, size, size), source.below(k, rows)


net, (x, y) = draws.begin(LeNet(16)), random_pictures(128, 1, 28, 10)
train("benchmark/lenet", "-D B=16 -D H=16", net, lambda step: batch(step, 16, x, y), classes, adamw(net, 1e-3))
# At the sample's own rate PyTorch's floats and doubles part in the fourth update.
net, (x, y) = draws.begin(ResNet18(1000)), random_pictures(64, 3, 64, 1000)
train("resnet18", "-D B=8 -D S=64", net, lambda step: batch(step, 8, x, y), classes,
      torch.optim.SGD(net.parameters(), 2e-4, momentum=0.9, weight_decay=1e-4), steps=5, more="--lr 2e-4")


# ---- several networks, noise, gradients inside of losses ----


def perceptron(**sizes):
    net = nn.Module()
    for name, (i, o) in sizes.items():
        setattr(net, name, nn.Linear(i, o))
    return net


def vae(h=24, z=8):
    encode = draws.begin(perceptron(fc1=(64, h), fc2=(h, 2 * z)), "encode")
    decode = draws.begin(perceptron(fc1=(z, h), fc2=(h, 64)), "decode")
    adam = torch.optim.Adam(list(encode.parameters()) + list(decode.parameters()))
    logs = {"reconstruction": [], "kl": []}
    for step in range(STEPS):
        adam.param_groups[0]["lr"] = warm(2e-3, 20)(step)
        x, = batch(step, 64, pictures)
        mu, v = encode.fc2(torch.relu(encode.fc1(x / 16))).split(z, 1)
        code = mu + torch.exp(v / 2) * draws.randn("z.randn", step, 64, z)
        logits = decode.fc2(torch.relu(decode.fc1(code)))
        reconstruction = (softplus(logits) - x / 16 * logits).sum(-1).mean()
        kl = 0.5 * (mu ** 2 + torch.exp(v) - v - 1).sum(-1).mean()
        adam.zero_grad()
        (reconstruction + kl).backward()
        adam.step()
        logs["reconstruction"].append(reconstruction.item()), logs["kl"].append(kl.item())
    case("vae", "-D H=%d" % h, logs)


def wgan(h=24, z=16):
    G = draws.begin(perceptron(fc1=(z, h), fc2=(h, h), fc3=(h, 64)), "G")
    D = draws.begin(perceptron(fc1=(64, h), fc2=(h, h), fc3=(h, 1)), "D")
    make = lambda net: torch.optim.Adam(net.parameters(), 5e-4, (0.0, 0.9))
    critic, generator, logs = make(D), make(G), {"distance": [], "penalty": []}

    def draw(z):
        return torch.sigmoid(G.fc3(torch.relu(G.fc2(torch.relu(G.fc1(z))))))

    def judge(x):
        return D.fc3(leaky_relu(D.fc2(leaky_relu(D.fc1(x), 0.2)), 0.2))[:, 0]

    for step in range(STEPS):
        real, fake = batch(step, 64, pictures)[0] / 16, draw(draws.randn("fake.randn", step, 64, z))
        between = (real + draws.rand("between.rand", step, 64, 1) * (fake.detach() - real)).requires_grad_()
        slope, = torch.autograd.grad(judge(between).sum(), between, create_graph=True)
        penalty = ((slope.norm(dim=1) - 1) ** 2).mean()
        distance = judge(real).mean() - judge(fake.detach()).mean()
        critic.zero_grad()
        (10 * penalty - distance).backward()
        critic.step()
        if step % 5 == 4:
            generator.zero_grad()
            (-judge(fake).mean()).backward()
            generator.step()
        logs["distance"].append(distance.item()), logs["penalty"].append(penalty.item())
    case("wgan-gp", "-D H=%d" % h, logs)


def pinn(rows=32):
    u = draws.begin(perceptron(fc1=(2, 32), fc2=(32, 32), fc3=(32, 32), out=(32, 1)), "u")
    adam = torch.optim.Adam(u.parameters())
    logs = {"equation": [], "initial": [], "boundary": []}

    def at(p):
        return u.out(torch.tanh(u.fc3(torch.tanh(u.fc2(torch.tanh(u.fc1(p)))))))[:, 0]

    def residual(p):
        p.requires_grad_()
        slope, = torch.autograd.grad(at(p).sum(), p, create_graph=True)
        curvature, = torch.autograd.grad(slope[:, 0].sum(), p, create_graph=True)
        return slope[:, 1] - 0.1 * curvature[:, 0]

    for step in range(STEPS):
        adam.param_groups[0]["lr"] = warm(5e-3, 100)(step)
        inside, start, left = (draws.rand(name + ".rand", step, rows, 2) for name in ("inside", "start", "left"))
        place, time = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
        start, left = start * place, left * time
        exact = torch.exp(-math.pi ** 2 / 10 * start[:, 1]) * torch.sin(math.pi * start[:, 0])
        equation, initial = (residual(inside) ** 2).mean(), ((at(start) - exact) ** 2).mean()
        boundary = (at(left) ** 2).mean() + (at(left + place) ** 2).mean()
        adam.zero_grad()
        (equation + 10 * (initial + boundary)).backward()
        nn.utils.clip_grad_norm_(u.parameters(), 1.0)
        adam.step()
        for name, value in (("equation", equation), ("initial", initial), ("boundary", boundary)):
            logs[name].append(value.item())
    case("pinn", "-D B=%d" % rows, logs)


vae()
wgan()
pinn()

with open(os.path.join(here, "samples.json"), "w") as file:
    file.write("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
