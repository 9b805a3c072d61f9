#!/usr/bin/python3
"""Make gan/ and twice/: steps of several updates by PyTorch in float64, from weights and data that lie beside.

    apt install python3-torch && /usr/bin/python3 tests/pytorch/phases.py

gan: the critic moves in every step, the generator in every second, both by
Adam; the generator has a BatchNorm, whose running values move wherever it is
called in training.  twice: three updates move some of the same parameters, each
with optimizers of its own.  The model.mt of each folder says the same.
"""
import json
import os
import struct

import numpy
import torch

torch.set_default_dtype(torch.float64)
here = os.path.dirname(os.path.abspath(__file__))
B, ROWS, STEPS = 4, 12, 6


def save(path, tensors):
    """As float, in safetensors."""
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, t in tensors.items():
        raw = t.detach().to(torch.float32).contiguous().numpy().tobytes()
        header[name] = {"dtype": "F32", "shape": list(t.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(here, path), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


class Net(torch.nn.Module):
    def __init__(self, i, o, norm, turns=1):
        super().__init__()
        self.turns = turns
        self.fc1, self.fc2 = torch.nn.Linear(i, 5), torch.nn.Linear(5, o)
        if norm:
            self.bn = torch.nn.BatchNorm1d(5)

    def forward(self, x):
        h = self.fc1(x)
        h = self.bn(h) if hasattr(self, "bn") else h
        for _ in range(self.turns):
            h = torch.tanh(h)
        return self.fc2(h)


def held(net, prefix):
    return {prefix + name: t for name, t in net.state_dict().items()}


def given(folder, nets, **fields):
    """Writes weights and data, narrowed to float, and answers with the data of each step."""
    for name, net in nets.items():
        for p in net.parameters():
            p.data = p.data.float().double()
        save(f"{folder}/{name}.safetensors", held(net, ""))
    for name, field in fields.items():
        numpy.save(os.path.join(here, folder, name + ".npy"), field.numpy())
    for step in range(STEPS):
        at = step * B % ROWS
        yield step, *(field[at : at + B].double() for field in fields.values())


def taken(optimizer, loss, clipped=(), norm=0):
    optimizer.zero_grad()
    loss.backward()
    if clipped:
        torch.nn.utils.clip_grad_norm_(clipped, norm)
    optimizer.step()


def gan():
    torch.manual_seed(5)
    x, z = torch.randn(ROWS, 3).float(), torch.randn(ROWS, 2).float()
    G, D = Net(2, 3, True), Net(3, 1, False)
    batches = given("gan", {"G": G, "D": D}, x=x, z=z)
    a, b = torch.optim.Adam(D.parameters(), 0.02), torch.optim.Adam(G.parameters(), 0.05, eps=1e-4)
    soft = torch.nn.functional.softplus
    for step, real, noise in batches:
        fake = G(noise)
        taken(a, soft(-D(real)).mean() + soft(D(fake.detach())).mean(), list(D.parameters()), 0.5)
        if step % 2 == 1:
            taken(b, soft(-D(fake)).mean() + 0.1 * (G(noise + 1) ** 2).mean())
    save("gan/trained.safetensors", {**held(G, "G."), **held(D, "D.")})


class Several:
    """Optimizers that are one update."""

    def __init__(self, *optimizers):
        self.optimizers = optimizers

    def zero_grad(self):
        for optimizer in self.optimizers:
            optimizer.zero_grad()

    def step(self):
        for optimizer in self.optimizers:
            optimizer.step()


def twice():
    torch.manual_seed(6)
    x, y = torch.randn(ROWS, 3).float(), torch.randn(ROWS, 2).float()
    net, head = Net(3, 2, False, 2), Net(3, 2, False, 2)
    batches = given("twice", {"net": net, "head": head}, x=x, y=y)
    optim = torch.optim
    first = Several(optim.AdamW(net.fc2.parameters(), 0.02, weight_decay=0.1), optim.SGD(net.fc1.parameters(), 0.1, momentum=0.9))
    second = Several(optim.Adam(net.fc2.parameters(), 0.01), optim.RMSprop(head.parameters(), 0.01), optim.Adam([net.fc1.weight], 0.03))
    third = Several(optim.SGD(net.parameters(), 0.05, momentum=0.5))
    for step, a, b in batches:
        for p in [*net.parameters(), *head.parameters()]:
            p.grad = None
        was = net(a)
        taken(first, ((was - b) ** 2).mean(), list(net.parameters()), 0.5)
        moved = [*net.fc2.parameters(), net.fc1.weight, *head.parameters()]
        net.fc1.bias.grad = None  # the second update leaves it alone
        taken(second, ((net(a + 1) - head(a)) ** 2).mean(), moved, 0.4)
        if step % 2 == 1:
            taken(third, (net(a) ** 2).mean(), list(net.parameters()), 0.1)
    save("twice/trained.safetensors", {**held(net, "net."), **held(head, "head.")})


for folder in (gan, twice):
    os.makedirs(os.path.join(here, folder.__name__), exist_ok=True)
    folder()
