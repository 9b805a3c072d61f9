#!/usr/bin/python3
"""Make layers.json: normalization, recurrent and attention layers over several steps of training, as PyTorch computes them in float64.

    apt install python3-torch && /usr/bin/python3 tests/pytorch/layers.py

Each case is one layer of the standard file on batches of [rows, *shape]:
    {"layer": as a model writes it, "shape": without the batch, "start": {name: values},
     "steps": [{"x", "u", "v", "loss": sum(y u), "gx": sum(dloss/dx v), "after": {name: values}}, ...],
     "asked": {"x", "y"}}
`after` is what the layer holds once SGD with rate 0.1 and the layer's own
bookkeeping are done; `asked` is a batch outside of training.  The number of
rows changes from step to step.
"""
import json
import os
import random

import torch

torch.set_default_dtype(torch.float64)
torch.manual_seed(11)
random.seed(11)
here = os.path.dirname(os.path.abspath(__file__))
cases = []


class RMSNorm(torch.nn.Module):  # PyTorch has it from 2.4 on
    def __init__(self, width, eps=1.1920928955078125e-07):
        super().__init__()
        self.weight, self.eps = torch.nn.Parameter(torch.ones(width)), eps

    def forward(self, x):
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + self.eps) * self.weight


def short(t):
    return torch.round(t * 256) / 256


def numbers(t):
    return [float("%.14g" % v) for v in t.detach().double().reshape(-1).tolist()]


def held(layer):
    return {name: numbers(t) for name, t in list(layer.named_parameters()) + list(layer.named_buffers())}


def case(expression, layer, shape, rows, ones=False, scale=1):
    with torch.no_grad():
        for p in layer.parameters():
            p.copy_(scale * short(torch.randn(p.shape)))
    start, steps = held(layer), []
    for n in rows:
        x, u, v = (short(torch.randn(n, *shape)) for _ in range(3))
        u = scale * u  # where steps are small, errors stay small
        if ones:
            x = torch.ones(n, *shape)  # no variance at all
        x = (2 * x + 0.5).requires_grad_()
        layer.train()
        layer.zero_grad()
        loss = (layer(x) * u).sum()
        loss.backward()
        with torch.no_grad():
            for p in layer.parameters():
                p -= 0.1 * p.grad
        steps.append({"x": numbers(x), "u": numbers(u), "v": numbers(v), "loss": loss.item(), "gx": (x.grad * v).sum().item(), "after": held(layer)})
    x = short(torch.randn(3, *shape))
    layer.eval()
    cases.append(json.dumps({"layer": expression, "shape": shape, "start": start, "steps": steps, "asked": {"x": numbers(x), "y": numbers(layer(x))}}, separators=(",", ":")))


N = torch.nn
BATCH_NORMS = [N.BatchNorm1d, N.BatchNorm1d, N.BatchNorm2d, N.BatchNorm3d]
for shape in ([3], [1], [17], [3, 4], [2, 1], [3, 2, 5], [5, 1, 1], [2, 2, 1, 3]):
    make, f = BATCH_NORMS[len(shape) - 1], shape[0]
    case("BatchNorm()", make(f), shape, (4, 4, 2, 4))
    case("BatchNorm(momentum: 0.4, eps: 0.01)", make(f, eps=0.01, momentum=0.4), shape, (2, 3))
    case("BatchNorm(affine: false)", make(f, affine=False), shape, (4, 3, 4))
for shape in ([3, 4], [2, 3, 2]):  # one row is enough where there is more than one place
    case("BatchNorm()", BATCH_NORMS[len(shape) - 1](shape[0]), shape, (4, 1, 4))
case("BatchNorm()", N.BatchNorm1d(3), [3], (4, 4), ones=True)
case("BatchNorm(momentum: 1.0)", N.BatchNorm1d(3, momentum=1.0), [3], (4, 3))
case("BatchNorm(momentum: 0.0)", N.BatchNorm1d(3, momentum=0.0), [3], (4, 3))
for shape in ([4], [4, 3], [4, 2, 3], [6, 1, 1], [12, 5], [4, 2, 1, 2]):
    for groups in (1, 2, shape[0]):
        if shape[0] * torch.Size(shape[1:]).numel() > groups:  # PyTorch refuses groups of one value
            case("GroupNorm(%d)" % groups, N.GroupNorm(groups, shape[0]), shape, (4, 3, 1))
    case("GroupNorm(2, eps: 0.1)", N.GroupNorm(2, shape[0], eps=0.1), shape, (2, 4))
    case("GroupNorm(2, affine: false)", N.GroupNorm(2, shape[0], affine=False), shape, (4,))
for shape in ([3, 4], [1, 7], [3, 2, 5], [2, 2, 2, 3], [5, 16], [4, 1, 3]):
    make = [N.InstanceNorm1d, N.InstanceNorm2d, N.InstanceNorm3d][len(shape) - 2]
    case("InstanceNorm()", make(shape[0]), shape, (4, 1))
    case("InstanceNorm(affine: true)", make(shape[0], affine=True), shape, (4, 3, 4))
    case("InstanceNorm(eps: 0.2)", make(shape[0], eps=0.2), shape, (2,))
    case("InstanceNorm(eps: 0.01, affine: true)", make(shape[0], eps=0.01, affine=True), shape, (1, 4))
for shape in ([3], [1], [17], [3, 4], [2, 1], [3, 2, 5], [8], [33], [2, 8], [4, 16]):
    case("RMSNorm()", RMSNorm(shape[-1]), shape, (4, 3))
    case("RMSNorm(eps: 0.01)", RMSNorm(shape[-1], 0.01), shape, (4, 1))
case("RMSNorm()", RMSNorm(3), [3], (4, 2), ones=True)



def sequence(kind):
    """PyTorch's layer, of which the outputs of all times are asked."""
    return type(kind.__name__, (kind,), {"forward": lambda self, x: kind.forward(self, x)[0]})


for rows in ((4,), (4, 2), (3, 4, 1), (1,), (2, 4, 4)):
    for time, width in ((1, 1), (3, 2), (5, 4), (2, 5)):
        for name in ("RNN", "LSTM", "GRU"):
            case("%s(%d)" % (name, width), sequence(getattr(N, name))(width, width, batch_first=True), [time, width], rows)


class MultiheadAttention(N.MultiheadAttention):
    def __init__(self, width, heads, causal):
        super().__init__(width, heads, batch_first=True)
        self.causal = causal

    def forward(self, x):
        mask = torch.ones(x.shape[1], x.shape[1]).tril() == 0 if self.causal else None
        return super().forward(x, x, x, attn_mask=mask, need_weights=self.causal)[0]


for rows in ((4,), (4, 2), (3, 1)):
    for time, width, heads in ((1, 2, 1), (3, 4, 2), (5, 6, 3), (4, 4, 4)):
        case("MultiheadAttention(%d)" % heads, MultiheadAttention(width, heads, False), [time, width], rows, scale=0.25)
        case("MultiheadAttention(%d, causal: true)" % heads, MultiheadAttention(width, heads, True), [time, width], rows, scale=0.25)

with open(os.path.join(here, "layers.json"), "w") as file:
    file.write("[\n" + ",\n".join(cases) + "\n]\n")
print(len(cases), "cases, PyTorch", torch.__version__)
