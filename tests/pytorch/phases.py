#!/usr/bin/python3
"""Make gan/, twice/, speech/, parts/ and norms/: steps of several updates, or of several batches, by PyTorch in float64, from
weights and data that lie beside.

    apt install python3-torch && /usr/bin/python3 tests/pytorch/phases.py

gan: the critic moves in every step, the generator in every second, both by
Adam; the generator has a BatchNorm, whose running values move wherever it is
called in training.  twice: three updates move some of the same parameters, each
with optimizers of its own.  speech: two updates of F.ctc_loss move some of the
same, a third comes in every second step and sees rows that no path fits.
parts: F.ctc_loss of a batch of ten rows, which the model sees as batches of
four, four and two.  norms: BatchNorms of pictures and of rows, and what they
make of other rows in eval mode, by their running values.  The model.mt of each
folder says the same.
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


def given(folder, nets, size=B, **fields):
    """Writes weights and data, narrowed to float, and answers with the data of each step."""
    for name, net in nets.items():
        for p in net.parameters():
            p.data = p.data.float().double()
        save(f"{folder}/{name}.safetensors", held(net, ""))
    for name, field in fields.items():
        numpy.save(os.path.join(here, folder, name + ".npy"), field.numpy())
    rows = len(next(iter(fields.values())))
    for step in range(STEPS):
        at = step * size % rows
        yield step, *(field[at : at + size].double() for field in fields.values())


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


def sounds(rows):
    """Frames of sound, what is said in them, how many frames and signs count: of some rows fewer, of one no sign at all."""
    x, y = torch.randn(rows, 7, 3).float(), torch.randint(1, 4, (rows, 3)).int()
    y[1] = torch.tensor([2, 2, 2])  # between equal signs a blank is needed
    m, k = torch.full((rows,), 7).int(), torch.full((rows,), 3).int()
    m[1], m[3], k[2], k[4] = 6, 5, 1, 0
    return {"x": x, "y": y, "m": m, "k": k}


def said(scores, y, m, k, **options):
    return torch.nn.functional.ctc_loss(scores.log_softmax(-1).transpose(0, 1), y.long(), m.long(), k.long(), **options)


def speech():
    torch.manual_seed(7)
    net, head = Net(3, 4, False), Net(3, 4, False)
    optim = torch.optim
    batches = given("speech", {"net": net, "head": head}, **sounds(ROWS))
    first = Several(optim.AdamW(net.fc2.parameters(), 0.02, weight_decay=0.1), optim.SGD(net.fc1.parameters(), 0.1, momentum=0.9))
    second = Several(optim.Adam(net.fc2.parameters(), 0.01), optim.RMSprop(head.parameters(), 0.01))
    third = Several(optim.SGD(net.parameters(), 0.05, momentum=0.5))
    for step, x, *rest in batches:
        y, m, k = rest
        taken(first, said(net(x), *rest), list(net.parameters()), 0.5)
        moved = [*net.fc2.parameters(), *head.parameters()]
        for p in net.fc1.parameters():
            p.grad = None
        taken(second, said(net(x) + head(x), *rest), moved, 0.4)
        if step % 2 == 1:
            short = m - 2 * (torch.arange(len(m)) == 1)  # its signs no longer fit into the row of frames
            taken(third, said(net(x), y, short, k, zero_infinity=True), list(net.parameters()), 0.1)
    save("speech/trained.safetensors", {**held(net, "net."), **held(head, "head.")})


def parts():
    torch.manual_seed(8)
    net = Net(3, 4, False)
    optimizer = torch.optim.AdamW(net.parameters(), 0.05, weight_decay=0.1)
    for step, x, *rest in given("parts", {"net": net}, 10, **sounds(10)):
        taken(optimizer, said(net(x), *rest), list(net.parameters()), 0.5)
    save("parts/trained.safetensors", held(net, "net."))


class Norms(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.bn1 = torch.nn.Conv2d(2, 3, 3, padding=1), torch.nn.BatchNorm2d(3)
        self.fc1, self.bn2, self.fc2 = torch.nn.Linear(48, 5), torch.nn.BatchNorm1d(5, momentum=0.3), torch.nn.Linear(5, 2)

    def forward(self, x):
        h = torch.relu(self.bn1(self.conv(x)))
        return self.fc2(torch.tanh(self.bn2(self.fc1(h.flatten(1)))))


def norms():
    torch.manual_seed(9)
    net = Norms()
    x, y = 2 + 3 * torch.randn(ROWS, 2, 4, 4).float(), torch.randn(ROWS, 2).float()
    optimizer = torch.optim.SGD(net.parameters(), 0.05)
    for step, a, b in given("norms", {"net": net}, x=x, y=y):
        taken(optimizer, ((net(a) - b) ** 2).mean())
    save("norms/trained.safetensors", held(net, "net."))
    save("norms/evaluated.safetensors", held(net, ""))
    # nine other rows, of which the last makes a batch of its own
    x, y = 1 + 2 * torch.randn(9, 2, 4, 4).float(), torch.randn(9, 2).float()
    for p in [*net.parameters(), *net.buffers()]:
        p.data = p.data.float().to(p.dtype)
    net.eval()
    seen = net(x.double())
    for name, field in {"others": x, "targets": y, "predicted": seen.detach()}.items():
        numpy.save(os.path.join(here, "norms", name + ".npy"), field.numpy())
    with open(os.path.join(here, "norms", "loss"), "w") as file:
        file.write("%.12g\n" % ((seen - y) ** 2).mean().item())


for folder in (gan, twice, speech, parts, norms):
    os.makedirs(os.path.join(here, folder.__name__), exist_ok=True)
    folder()
