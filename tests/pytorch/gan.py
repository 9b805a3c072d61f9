#!/usr/bin/python3
"""Make gan/: a generator and a critic trained by PyTorch in float64, from weights and data that lie beside.

    apt install python3-torch && /usr/bin/python3 tests/pytorch/gan.py

The critic moves in every step, the generator in every second, both by Adam;
the generator has a BatchNorm, whose running values move wherever it is called
in training.  gan/model.mt says the same in the model language.
"""
import json
import os
import struct

import numpy
import torch

torch.set_default_dtype(torch.float64)
torch.manual_seed(5)
here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "gan")
B, P, Z, ROWS, STEPS = 4, 3, 2, 12, 6


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
    def __init__(self, i, o, norm):
        super().__init__()
        self.fc1, self.fc2 = torch.nn.Linear(i, 5), torch.nn.Linear(5, o)
        if norm:
            self.bn = torch.nn.BatchNorm1d(5)

    def forward(self, x):
        h = self.fc1(x)
        return self.fc2(torch.tanh(self.bn(h) if hasattr(self, "bn") else h))


def held(net, prefix):
    return {prefix + name: t for name, t in net.state_dict().items()}


x, z = torch.randn(ROWS, P).float(), torch.randn(ROWS, Z).float()
numpy.save(os.path.join(here, "x.npy"), x.numpy())
numpy.save(os.path.join(here, "z.npy"), z.numpy())
x, z = x.double(), z.double()
G, D = Net(Z, P, True), Net(P, 1, False)
for p in list(G.parameters()) + list(D.parameters()):
    p.data = p.data.float().double()
save("G.safetensors", held(G, ""))
save("D.safetensors", held(D, ""))
a, b = torch.optim.Adam(D.parameters(), 0.02), torch.optim.Adam(G.parameters(), 0.05, eps=1e-4)
soft = torch.nn.functional.softplus
for step in range(STEPS):
    at = step * B % ROWS
    real, noise = x[at : at + B], z[at : at + B]
    fake = G(noise)
    a.zero_grad()
    (soft(-D(real)).mean() + soft(D(fake.detach())).mean()).backward()
    torch.nn.utils.clip_grad_norm_(D.parameters(), 0.5)
    a.step()
    if step % 2 == 1:
        b.zero_grad()
        (soft(-D(fake)).mean() + 0.1 * (G(noise + 1) ** 2).mean()).backward()
        b.step()
save("trained.safetensors", {**held(G, "G."), **held(D, "D.")})
