#!/usr/bin/python3
"""Make ops.json, windows.json, optimizers.json and clipped.json: what PyTorch computes, in float64.

    apt install python3-torch && /usr/bin/python3 tests/pytorch/make.py

Each case of ops.json and windows.json is one expression of the model language over named inputs,
    {"e": expression, "x": [[name, shape, data, gradient or null], ...],
     "s": shape of the value, "v": value, "u": upstream gradient,
     "f": what float may be off by, where PyTorch's own float is worse than 1e-5}
with the gradients of sum(value * upstream).  Each run of optimizers.json is one
parameter vector followed over ten steps of given gradients; in clipped.json
they are clipped to a norm first.  Inputs are floats,
and short; results have 14 digits, more than what is asked of ours; inf, -inf
and nan are strings.
"""
import itertools
import json
import math
import os
import random

import torch
import torch.nn.functional as F

from cases import case, here, inf, n, nan, numbers, over, save, short, start

start(0)

EDGES = torch.tensor([0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 3.0, -3.0, 2.5, -2.5, 30.0, -30.0, inf, -inf, nan])
ORDINARY = torch.tensor([1e-8, -1e-8, 0.1, -0.1, 7.25, -7.25, 12.0, -12.0, 1e-20, -1e-20, 20.5, -20.5]).float().double()
POSITIVE = torch.tensor([1e-8, 0.1, 0.5, 1.0, 2.0, 7.25, 100.0, 1e6]).float().double()
SHAPES = [(), (1,), (5,), (2, 3), (3, 1, 2), (2, 1, 3, 2), (6, 1), (1, 7), (2, 3, 4), (1, 2, 1, 2, 1), (17,), (0,), (2, 0, 3)]

# ---- elementwise ----
UNARY = {
    "-x": lambda x: -x, "abs(x)": torch.abs, "exp(x)": torch.exp, "sin(x)": torch.sin, "cos(x)": torch.cos,
    "tanh(x)": torch.tanh, "erf(x)": torch.erf, "sigmoid(x)": torch.sigmoid, "relu(x)": torch.relu,
    "leaky_relu(x)": F.leaky_relu, "leaky_relu(x, slope: 0.2)": lambda x: F.leaky_relu(x, 0.2),
    "elu(x)": F.elu, "elu(x, alpha: 0.5)": lambda x: F.elu(x, 0.5), "gelu(x)": F.gelu,
    "gelu_tanh(x)": lambda x: F.gelu(x, approximate="tanh"), "silu(x)": F.silu, "softplus(x)": F.softplus,
    "clamp(x, min: -1, max: 1)": lambda x: torch.clamp(x, -1, 1), "clamp(x, min: 0)": lambda x: torch.clamp(x, min=0),
    "clamp(x, max: 2.5)": lambda x: torch.clamp(x, max=2.5), "x ^ 2": lambda x: x ** 2, "x ^ 3": lambda x: x ** 3,
    "x * x": lambda x: x * x, "1 / x": lambda x: 1 / x, "x ^ 0": lambda x: x ** 0, "x ^ 1": lambda x: x ** 1,
    "x ^ -1": lambda x: x ** -1.0, "2 * x + 1": lambda x: 2 * x + 1, "x - 3": lambda x: x - 3, "3 - x": lambda x: 3 - x,
    "x / 4": lambda x: x / 4, "2 ^ x": lambda x: 2 ** x, "where(x > 0, x, 0.5 * x)": lambda x: torch.where(x > 0, x, 0.5 * x),
    "log1p(exp(-abs(x)))": lambda x: torch.log1p(torch.exp(-torch.abs(x))), "expm1(x)": torch.expm1,
    "clamp(x, min: 0, max: 6)": F.relu6, "maximum(x, 0)": lambda x: torch.maximum(x, torch.zeros(())),
    "clamp(x + 3, min: 0, max: 6) / 6": lambda x: F.hardtanh(x + 3, 0, 6) / 6, "exp(-x * x)": lambda x: torch.exp(-x * x),
    "sigmoid(x) * tanh(x)": lambda x: torch.sigmoid(x) * torch.tanh(x), "(x + 1) ^ 2 / 2 - x": lambda x: (x + 1) ** 2 / 2 - x,
    "where(x <= 0 or x >= 1, 0.0, x)": lambda x: torch.where((x <= 0) | (x >= 1), torch.zeros(()), x),
}
# relu6 and hardtanh have slope 0 at their bounds where clamp has slope 1
KINKS = {"clamp(x, min: 0, max: 6)", "clamp(x + 3, min: 0, max: 6) / 6"}
SMOOTH_AT_EDGES = {"silu(x)", "gelu(x)", "gelu_tanh(x)", "softplus(x)", "elu(x)", "elu(x, alpha: 0.5)", "log1p(exp(-abs(x)))"}
for expr, f in UNARY.items():
    for shape in SHAPES:
        case(expr, f, x=n(*shape))
    case(expr, f, x=ORDINARY[:8] if expr == "softplus(x)" else ORDINARY)  # PyTorch's softplus is x above 20
    # composites of our own may differ from PyTorch's fused kernels at infinities; ops may not
    if expr not in KINKS:
        case(expr, f, x=EDGES[:12] if expr in SMOOTH_AT_EDGES else EDGES)
for expr, f in {"log(x)": torch.log, "sqrt(x)": torch.sqrt, "rsqrt(x)": torch.rsqrt, "x ^ 0.5": lambda x: x ** 0.5,
                "x ^ 2.5": lambda x: x ** 2.5, "log1p(x)": torch.log1p, "x ^ 1.5": lambda x: x ** 1.5, "x ^ -0.5": lambda x: x ** -0.5,
                "log(x) / x": lambda x: torch.log(x) / x, "where(x > 0, sqrt(x), 0 * x)": lambda x: torch.where(x > 0, torch.sqrt(x), 0 * x)}.items():
    for shape in SHAPES:
        case(expr, f, x=n(*shape).abs() + 0.1)
    case(expr, f, x=POSITIVE)
    # PyTorch takes x ^ +-0.5 for a root, which at -0 and -inf is something else than a power
    case(expr, f, x=EDGES[2:12] if expr in ("x ^ 1.5", "x ^ -0.5") else EDGES)
for expr, f in {"floor(x)": torch.floor, "ceil(x)": torch.ceil, "round(x)": torch.round, "sign(x)": torch.sign}.items():
    case(expr + " + x", lambda x, f=f: f(x) + x, x=EDGES)
    case(expr + " * x", lambda x, f=f: f(x) * x, x=torch.tensor([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.49999999999999994]))
    for shape in SHAPES:
        case(expr + " + x", lambda x, f=f: f(x) + x, x=3 * n(*shape))

# ---- two operands, broadcasting ----
PAIRS = [((), ()), ((3,), ()), ((), (3,)), ((2, 3), (3,)), ((3,), (2, 3)), ((2, 1), (1, 3)), ((4, 1, 3), (2, 1)), ((2, 3, 4), (3, 4)),
         ((1,), (2, 2)), ((5, 1, 1, 2), (1, 3, 1, 1)), ((1,), (1,)), ((4, 4), ()), ((), (2, 2, 2)), ((1, 5), (3, 1)), ((2, 3, 4), (1, 1, 4)),
         ((2, 3, 4), (2, 1, 1)), ((3, 1, 2), (1, 4, 1)), ((0,), (1,)), ((2, 0), (2, 1)), ((7,), (7,)), ((2, 2, 2, 2), (2, 2))]
BINARY = {"x + y": torch.add, "x - y": torch.sub, "x * y": torch.mul, "x / y": torch.div, "maximum(x, y)": torch.maximum,
          "minimum(x, y)": torch.minimum, "where(x > y, x, y * y)": lambda x, y: torch.where(x > y, x, y * y),
          "x * sigmoid(y)": lambda x, y: x * torch.sigmoid(y), "(x - y) * (x - y)": lambda x, y: (x - y) * (x - y)}
for expr, f in BINARY.items():
    for a, b in PAIRS:
        case(expr, f, x=n(*a), y=n(*b))
    grid = list(itertools.product([0.0, -0.0, 1.0, -2.0, inf, -inf, nan], repeat=2))
    case(expr, f, x=torch.tensor([g[0] for g in grid]), y=torch.tensor([g[1] for g in grid]))
for a, b in PAIRS:
    case("x ^ y", torch.pow, x=n(*a).abs() + 0.1, y=n(*b))
    case("x % y", torch.remainder, x=3 * n(*a), y=n(*b) + torch.sign(n(*b)) * 0.1)
    case("x // y + x", lambda x, y: torch.floor(x / y) + x, fixed=("y",), x=3 * n(*a), y=n(*b).abs() + 0.1)
case("x ^ y", torch.pow, x=torch.tensor([0.0, 0.0, 0.0, 2.0, 2.0, 1.0]), y=torch.tensor([0.0, 1.0, 2.0, 0.0, -1.0, 5.0]))
for expr, f in {"f32(x == y) + x": lambda x, y: (x == y) + x, "f32(x != y) + x": lambda x, y: (x != y) + x,
                "f32(x < y) * y": lambda x, y: (x < y) * y, "f32(x <= y) * y": lambda x, y: (x <= y) * y,
                "f32(x > y and x > 0) + y": lambda x, y: ((x > y) & (x > 0)) + y,
                "f32(x >= y or not (x > 0)) + y": lambda x, y: ((x >= y) | ~(x > 0)) + y}.items():
    for a, b in PAIRS[:6]:
        case(expr, f, x=torch.round(n(*a)), y=torch.round(n(*b)))
    case(expr, f, x=torch.tensor([nan, 1.0, nan, inf, -inf]), y=torch.tensor([1.0, nan, nan, inf, inf]))

# ---- reductions ----
TIES = torch.tensor([[1.0, 3.0, 3.0, 2.0], [5.0, 5.0, 5.0, 5.0], [-1.0, -2.0, -1.0, -3.0]])
NANS = torch.tensor([[1.0, nan, 2.0, 0.0], [inf, 1.0, inf, -inf], [nan, nan, 0.0, 1.0]])
REDUCE = {"sum(x%s)": torch.sum, "mean(x%s)": torch.mean, "max(x%s)": torch.amax, "min(x%s)": torch.amin,
          "var(x%s, unbiased: false)": lambda x, d: torch.var(x, d, unbiased=False), "var(x%s)": lambda x, d: torch.var(x, d),
          "logsumexp(x%s)": torch.logsumexp}
AXES = [((9,), [0]), ((5, 6), [1]), ((6, 5), [0]), ((1, 4), [1]), ((4, 1), [0, 1]), ((3, 2, 5), [2]), ((3, 2, 5), [0]), ((3, 2, 5), [0, 1, 2]),
        ((2, 2, 3, 2), [1]), ((2, 2, 3, 2), [0, 2]), ((2, 1, 3), [0, 2]), ((4,), [0]), ((3, 4), [0]), ((3, 4), [1]), ((3, 4), [0, 1]), ((2, 3, 4), [1]), ((2, 3, 4), [0, 2]), ((2, 3, 4), [1, 2]),
        ((2, 3, 2, 2), [0, 2, 3]), ((7, 1), [1]), ((1, 5), [0])]


for pattern, f in REDUCE.items():
    for shape, axes in AXES:
        if "var(x%s)" == pattern and math.prod(shape[a] for a in axes) < 2:
            continue
        case(pattern % over(axes), lambda x, f=f, axes=axes: f(x, axes), x=n(*shape))
    if "var" not in pattern:
        case(pattern % ", over: 1", lambda x, f=f: f(x, [1]), x=TIES)
        case(pattern % ", over: 0", lambda x, f=f: f(x, [0]), x=TIES)
for pattern, f in {"sum(x%s)": torch.sum, "mean(x%s)": torch.mean, "max(x%s)": lambda x, d: torch.amax(x, d), "min(x%s)": lambda x, d: torch.amin(x, d)}.items():
    # at NaN torch.amax and torch.max have different gradients; ours is torch.max's, the values are compared
    case(pattern % ", over: 1", lambda x, f=f: f(x, [1]), fixed=("x",) if "max" in pattern or "min" in pattern else (), x=NANS)
for shape in SHAPES[1:]:
    axes = list(range(len(shape)))
    case("sum(x)", lambda x: x.sum(), x=n(*shape))
    case("mean(x)", lambda x: x.mean(), x=n(*shape))
    case("sqrt(sum(x ^ 2))", lambda x: (x ** 2).sum().sqrt(), x=n(*shape))
    case("norm(x)", lambda x: x.norm(), x=n(*shape))
for shape, axes in AXES:
    case("norm(x%s)" % over(axes), lambda x, axes=axes: torch.linalg.vector_norm(x, dim=axes), x=n(*shape))
    if math.prod(shape[a] for a in axes) > 1:
        case("std(x%s)" % over(axes), lambda x, axes=axes: torch.std(x, axes), x=n(*shape))
case("norm(x)", lambda x: x.norm(), x=torch.zeros(4))
case("norm(x, over: 1)", lambda x: torch.linalg.vector_norm(x, dim=[1]), x=torch.tensor([[0.0, 0.0], [3.0, 4.0], [inf, 1.0]]))
case("std(x)", lambda x: torch.std(x), x=torch.full((5,), 2.0))
case("std(x, over: 0)", lambda x: torch.std(x, 0), x=torch.tensor([[1.0, 2.0], [1.0, 3.0], [1.0, 7.0]]))
case("sum(x)", lambda x: x.sum(), x=torch.zeros(0))
case("sum(x, over: 1)", lambda x: x.sum(1), x=torch.zeros(3, 0))
case("sum(x, over: 0)", lambda x: x.sum(0), x=torch.zeros(3, 0))
for shape, axes in AXES:
    d = len(shape)
    case("x - mean(x%s, keep: true)" % over(axes), lambda x, axes=axes: x - x.mean(axes, keepdim=True), x=n(*shape))
    case("x / sum(abs(x)%s, keep: true)" % over(axes), lambda x, axes=axes: x / x.abs().sum(axes, keepdim=True), x=n(*shape))
    case("max(x%s, keep: true) * x" % over(axes), lambda x, axes=axes: torch.amax(x, axes, keepdim=True) * x, x=n(*shape))
for t in (TIES, NANS, n(4, 3), n(1, 6)):
    for a in (0, 1):
        case("f32(argmax(x, over: %d)) + 0 * sum(x)" % a if not t.isnan().any() and not t.isinf().any() else "f32(argmax(x, over: %d))" % a,
             (lambda x, a=a: torch.argmax(x, a).double() + 0 * x.sum()) if not t.isnan().any() and not t.isinf().any() else (lambda x, a=a: torch.argmax(x, a).double()),
             fixed=() if not t.isnan().any() and not t.isinf().any() else ("x",), x=t)
        if t is not NANS:
            case("f32(argmin(x, over: %d)) + sum(x)" % a, lambda x, a=a: torch.argmin(x, a).double() + x.sum(), x=t)

# ---- softmax and friends ----
for shape, axis in [((5,), 0), ((3, 4), 1), ((3, 4), 0), ((2, 3, 4), 1), ((2, 3, 4), -1), ((1, 1), 1), ((1, 9), 1), ((9, 1), 1), ((17,), 0), ((2, 3, 4), 0),
                    ((2, 2, 2, 3), 3), ((2, 2, 2, 3), 1)]:
    case("softmax(x, over: %d)" % axis, lambda x, axis=axis: F.softmax(x, axis), x=3 * n(*shape))
    case("log_softmax(x, over: %d)" % axis, lambda x, axis=axis: F.log_softmax(x, axis), x=3 * n(*shape))
    case("softmax(x, over: %d) * y" % axis, lambda x, y, axis=axis: F.softmax(x, axis) * y, x=40 * n(*shape), y=n(*shape))
    case("sum(exp(log_softmax(x, over: %d)) * y)" % axis, lambda x, y, axis=axis: (F.log_softmax(x, axis).exp() * y).sum(), x=4 * n(*shape), y=n(*shape))
case("softmax(x, over: 1)", lambda x: F.softmax(x, 1), x=torch.tensor([[0.0, -inf, 1.0], [1e4, -1e4, 0.0]]))
case("log_softmax(x, over: 1)", lambda x: F.log_softmax(x, 1), x=torch.tensor([[0.0, 1e4, 1.0], [-1e4, -1e4, 0.0]]))
case("log_softmax(x, over: 1)", lambda x: F.log_softmax(x, 1), fixed=("x",), x=torch.tensor([[0.0, -inf], [-inf, -inf], [inf, 0.0], [nan, 0.0]]))
case("logsumexp(x, over: 1)", lambda x: torch.logsumexp(x, 1), fixed=("x",), x=torch.tensor([[0.0, -inf], [-inf, -inf], [inf, 0.0], [nan, 0.0], [800.0, 800.0]]))
case("softmax(x, over: 1)", lambda x: F.softmax(x, 1), fixed=("x",), x=torch.tensor([[-inf, -inf], [inf, 0.0]]))

# ---- shapes ----
case("x.[2, 3, 4 -> 4, 2, 3]", lambda x: x.permute(2, 0, 1), x=n(2, 3, 4))
case("t(x)", lambda x: x.transpose(-1, -2), x=n(2, 3, 4))
case("transpose(x, 0, 2)", lambda x: x.transpose(0, 2), x=n(2, 3, 4))
case("reshape(x, [4, 6])", lambda x: x.reshape(4, 6), x=n(2, 3, 4))
case("x.[2, (3 4) -> 3, 2, 4]", lambda x: x.reshape(2, 3, 4).permute(1, 0, 2), x=n(2, 12))
case("x.[2, 3, 4 -> (4 2), 3]", lambda x: x.permute(2, 0, 1).reshape(8, 3), x=n(2, 3, 4))
case("x.[a, b, c -> c, (b a)]", lambda x: x.permute(2, 1, 0).reshape(4, 6), x=n(2, 3, 4))
for expr, f in {"x[1]": lambda x: x[1], "x[:, 1:]": lambda x: x[:, 1:], "x[:, :-1]": lambda x: x[:, :-1], "x[-1]": lambda x: x[-1],
                "x[1:3]": lambda x: x[1:3], "x[:, 0] * x[:, 1]": lambda x: x[:, 0] * x[:, 1], "x[:2, 1:3] + x[1:3, 2:4]": lambda x: x[:2, 1:3] + x[1:3, 2:4]}.items():
    case(expr, f, x=n(3, 4))
case("x[i32(k)]", lambda x, k: x[k.long()], fixed=("k",), x=n(5, 3), k=torch.tensor([0.0, 4.0, 4.0, 2.0]))
for v, width, rows in [(3, 1, 4), (7, 2, 1), (2, 5, 9), (10, 3, 6), (4, 4, 16)]:
    k = torch.randint(v, (rows,)).double()
    case("x[i32(k)]", lambda x, k: x[k.long()], fixed=("k",), x=n(v, width), k=k)
    case("tanh(x[i32(k)]) * y", lambda x, k, y: torch.tanh(x[k.long()]) * y, fixed=("k",), x=n(v, width), k=k, y=n(rows, width))
    case("sum(x[i32(k)], over: 0)", lambda x, k: x[k.long()].sum(0), fixed=("k",), x=n(v, width), k=k)
for a, b in PAIRS[:8]: # whole numbers: // floors, % takes the divisor's sign, / divides as floats
    x, y = torch.round(9 * n(*a)), torch.round(5 * n(*b))
    y = torch.where(y == 0, torch.full_like(y, 3.0), y)
    case("f32(i32(x) // i32(y))", lambda x, y: torch.floor(x / y), fixed=("x", "y"), x=x, y=y)
    case("f32(i32(x) %% i32(y))" % (), lambda x, y: torch.remainder(x, y), fixed=("x", "y"), x=x, y=y)
    case("i32(x) / i32(y)", lambda x, y: x / y, fixed=("x", "y"), x=x, y=y)
    case("f32(maximum(i32(x), i32(y)) * 2 - i32(x))", lambda x, y: torch.maximum(x, y) * 2 - x, fixed=("x", "y"), x=x, y=y)
    case("f32(u8(abs(x)) + u8(250))", lambda x, y: ((x.abs() + 250) % 256).expand(torch.broadcast_shapes(x.shape)), fixed=("x", "y"), x=x, y=y) if a == b else None
    case("f32((x > 0) + (y > 0)) + f32((x > 0) * (y > 0))", lambda x, y: ((x > 0) | (y > 0)).double() + ((x > 0) & (y > 0)).double(), fixed=("x", "y"), x=x, y=y)
case("x[i32(k)]", lambda x, k: x[k.long()], fixed=("k",), x=n(5), k=torch.tensor([[1.0, 1.0], [1.0, 0.0]]))
case("f32(one_hot(i32(k), over: 4)) * x", lambda x, k: F.one_hot(k.long(), 4) * x, fixed=("k",), x=n(3, 4), k=torch.tensor([0.0, 3.0, 1.0]))
for shape in [(2, 3), (1, 1), (4, 4)]:
    case("x * stop(x)", lambda x: x * x.detach(), x=n(*shape))

# ---- matrix products ----
for m, k, p in [(1, 1, 1), (2, 3, 4), (5, 1, 7), (1, 6, 1), (8, 8, 8), (3, 17, 5), (2, 40, 2), (9, 4, 1), (1, 4, 9), (13, 2, 3), (2, 0, 3), (0, 2, 2)]:
    case("x @ y", torch.matmul, x=n(m, k), y=n(k, p))
    case("t(x) @ y", lambda x, y: x.t() @ y, x=n(k, m), y=n(k, p))
    case("x @ t(y)", lambda x, y: x @ y.t(), x=n(m, k), y=n(p, k))
    case("t(x) @ t(y)", lambda x, y: x.t() @ y.t(), x=n(k, m), y=n(p, k))
    case("(x @ y) @ t(y)", lambda x, y: x @ y @ y.t(), x=n(m, k), y=n(k, p))
    case("relu(x @ t(y) + z)", lambda x, y, z: F.relu(x @ y.t() + z), x=n(m, k), y=n(p, k), z=n(p))
for b, m, k, p in [(1, 2, 3, 4), (3, 1, 5, 2), (2, 4, 4, 4), (4, 2, 1, 2)]:
    case("x @ y", torch.matmul, x=n(b, m, k), y=n(b, k, p))
    case("x @ t(y)", lambda x, y: x @ y.transpose(-1, -2), x=n(b, m, k), y=n(b, p, k))
    case("t(x) @ y", lambda x, y: x.transpose(-1, -2) @ y, x=n(b, k, m), y=n(b, k, p))
    case("x @ y", torch.matmul, x=n(b, m, k), y=n(k, p))
    case("softmax(x @ t(y) / 2, over: -1) @ z", lambda x, y, z: F.softmax(x @ y.transpose(-1, -2) / 2, -1) @ z, x=n(b, m, k), y=n(b, p, k), z=n(b, p, k))
case("x @ y", torch.matmul, x=n(2, 3, 4), y=n(2, 4, 5))
case("x @ y", torch.matmul, x=n(2, 3, 4), y=n(4, 5))
case("x @ t(y)", lambda x, y: x @ y.transpose(-1, -2), x=n(2, 2, 3, 4), y=n(2, 2, 5, 4))
case("x @ t(x)", lambda x: x @ x.t(), x=n(3, 4))

# ---- losses ----
for shape in [(4,), (3, 5), (2, 3, 2), (1,), (6, 1), (1, 9), (2, 2, 2, 2), (33,)]:
    x, y = n(*shape), n(*shape)
    case("mse(x, y)", F.mse_loss, x=x, y=y)
    case("l1(x, y)", F.l1_loss, x=x, y=y)
    case("smooth_l1(x, y)", F.smooth_l1_loss, x=2 * x, y=y)
    case("smooth_l1(x, y, beta: 0.5)", lambda x, y: F.smooth_l1_loss(x, y, beta=0.5), x=2 * x, y=y)
    case("smooth_l1(x, y, beta: 2.0)", lambda x, y: F.smooth_l1_loss(x, y, beta=2.0), x=4 * x, y=y)
    case("sqrt(mse(x, y))", lambda x, y: F.mse_loss(x, y).sqrt(), x=x, y=y)
    case("mean(clamp(1 - x * y, min: 0))", lambda x, y: torch.clamp(1 - x * y, min=0).mean(), x=x, y=y)
    case("mean(y * (log(y) - x))", lambda x, y: F.kl_div(x, y, reduction="mean"), fixed=("y",), x=x, y=short(torch.sigmoid(y)))
    case("bce(x, y)", F.binary_cross_entropy, fixed=("y",), x=short(torch.sigmoid(x)), y=short(torch.sigmoid(y)))
    case("bce_with_logits(x, y)", F.binary_cross_entropy_with_logits, fixed=("y",), x=30 * x, y=short(torch.sigmoid(y)))
    case("bce_with_logits(x, y)", F.binary_cross_entropy_with_logits, fixed=("y",), x=3 * x, y=torch.round(torch.sigmoid(y)))
case("l1(x, y)", F.l1_loss, x=torch.tensor([1.0, 2.0]), y=torch.tensor([1.0, 3.0]))
case("bce(x, y)", F.binary_cross_entropy, fixed=("y",), x=torch.tensor([0.0, 1.0, 1.0, 0.0]), y=torch.tensor([0.0, 1.0, 0.0, 1.0]))
case("bce_with_logits(x, y)", F.binary_cross_entropy_with_logits, fixed=("y",), x=torch.tensor([-800.0, 800.0, 0.0]), y=torch.tensor([0.0, 0.0, 1.0]))
case("l1(x, y)", F.l1_loss, x=torch.tensor([1.0, 2.0, inf, nan]), y=torch.tensor([1.0, 3.0, 0.0, 1.0]))
case("smooth_l1(x, y)", F.smooth_l1_loss, x=torch.tensor([1.0, 2.0, 0.0, -3.0]), y=torch.tensor([1.0, 3.0, 1.0, 4.0]))
case("bce_with_logits(x, y)", F.binary_cross_entropy_with_logits, fixed=("y",), x=torch.tensor([0.0, -0.0, 30.0, -30.0]), y=torch.tensor([0.5, 1.0, 0.0, 1.0]))
for rows in (1, 3): # every target ignored: a NaN loss, gradients 0
    case("cross_entropy(x, i32(k))", lambda x, k: F.cross_entropy(x, k.long()), fixed=("k",), x=n(rows, 4), k=torch.full((rows,), -100.0))
for rows, classes in [(1, 2), (4, 3), (6, 10), (2, 1), (3, 2), (8, 5), (5, 17), (16, 4)]:
    x, k = 2 * n(rows, classes), torch.randint(classes, (rows,)).double()
    w = short(torch.rand(classes)) + 0.125
    case("cross_entropy(x, i32(k))", lambda x, k: F.cross_entropy(x, k.long()), fixed=("k",), x=x, k=k)
    case("cross_entropy(x, i32(k), smoothing: 0.1)", lambda x, k: F.cross_entropy(x, k.long(), label_smoothing=0.1), fixed=("k",), x=x, k=k)
    case("cross_entropy(x, i32(k), weight: w)", lambda x, k, w: F.cross_entropy(x, k.long(), weight=w), fixed=("k", "w"), x=x, k=k, w=w)
    case("cross_entropy(x, i32(k), weight: w, smoothing: 0.2)", lambda x, k, w: F.cross_entropy(x, k.long(), weight=w, label_smoothing=0.2), fixed=("k", "w"), x=x, k=k, w=w)
    case("cross_entropy(x, i32(k), smoothing: 0.5)", lambda x, k: F.cross_entropy(x, k.long(), label_smoothing=0.5), fixed=("k",), x=8 * x, k=k)
    case("cross_entropy(x, i32(k))", lambda x, k: F.cross_entropy(x, k.long()), fixed=("k",), x=50 * x, k=k)
    case("mean(f32(argmax(x, over: 1) == i32(k)))", lambda x, k: (x.argmax(1) == k.long()).double().mean(), fixed=("x", "k"), x=x, k=k)
    case("f32(one_hot(i32(k), over: %d)) @ t(x)" % classes, lambda x, k: F.one_hot(k.long(), classes).to(x.dtype) @ x.t(), fixed=("k",), x=x, k=k)
    k2 = k.clone()
    k2[0] = -100
    case("cross_entropy(x, i32(k))", lambda x, k: F.cross_entropy(x, k.long()), fixed=("k",), x=x, k=k2)
    if rows > 1:
        case("cross_entropy(x, i32(k), weight: w, smoothing: 0.2)", lambda x, k, w: F.cross_entropy(x, k.long(), weight=w, label_smoothing=0.2), fixed=("k", "w"), x=x, k=k2, w=w)
        case("cross_entropy(x, i32(k), ignore: 1)", lambda x, k: F.cross_entropy(x, k.long(), ignore_index=1), fixed=("k",), x=x, k=k)

# ---- layers written out ----
for shape in [(3, 4), (2, 3, 5), (1, 8), (7, 2), (2, 2, 2, 3), (5, 16), (4, 33)]:
    d = shape[-1]
    case("x * rsqrt(mean(x * x, over: -1, keep: true) + 1e-5) * y", lambda x, y: x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-5) * y, x=n(*shape), y=n(d))
    case("(x |> ln: LayerNorm(eps: 0.1)) * y", lambda x, y: F.layer_norm(x, (d,), eps=0.1) * y, x=n(*shape), y=n(*shape))
    case("(x |> ln: LayerNorm()) * y", lambda x, y: F.layer_norm(x, (d,)) * y, x=torch.full(shape, 3.0), y=n(*shape))
    case("(x - mean(x, over: 0)) * rsqrt(var(x, over: 0, unbiased: false) + 1e-5) * y", lambda x, y: F.batch_norm(x.reshape(shape[0], -1), None, None, training=True).reshape(shape) * y if shape[0] > 1 else torch.zeros(shape) * x * y, x=n(*shape), y=n(*shape)) if shape[0] > 1 else None
    case("(x |> ln: LayerNorm()) * y", lambda x, y: F.layer_norm(x, (d,)) * y, x=n(*shape), y=n(*shape))

# ---- more of nn.mt; with draws of their own, so that those below stay what they are ----
state = torch.get_rng_state()
torch.manual_seed(1)
MORE = {
    "mish(x)": F.mish, "logsigmoid(x)": F.logsigmoid, "softsign(x)": F.softsign, "celu(x)": F.celu,
    "celu(x, alpha: 0.5)": lambda x: F.celu(x, 0.5), "selu(x)": F.selu, "threshold(x, 0.1, 20.0)": lambda x: F.threshold(x, 0.1, 20.0),
    "hardtanh(x)": F.hardtanh, "hardtanh(x, min: -2.5, max: 0.5)": lambda x: F.hardtanh(x, -2.5, 0.5), "relu6(x)": F.relu6,
    # PyTorch's gradient of hardsigmoid holds 1/6 as a float; that of hardswish at its bounds was other before 2.x
    "hardsigmoid(x)": lambda x: F.relu6(x + 3) / 6, "hardswish(x)": lambda x: x * F.relu6(x + 3) / 6, "tanhshrink(x)": F.tanhshrink, "softshrink(x)": F.softshrink,
    "softshrink(x, lambda: 1.0)": lambda x: F.softshrink(x, 1.0), "hardshrink(x)": F.hardshrink,
    "hardshrink(x, lambda: 2.5)": lambda x: F.hardshrink(x, 2.5),
}
AT_INFINITY = {"hardtanh(x)", "hardtanh(x, min: -2.5, max: 0.5)", "relu6(x)", "hardsigmoid(x)", "threshold(x, 0.1, 20.0)"}
for expr, f in MORE.items():
    for shape in SHAPES:
        case(expr, f, x=2 * n(*shape))
    for scale in (0.01, 10):
        case(expr, f, x=scale * n(6))
    case(expr, f, x=ORDINARY[:8])
    case(expr, f, x=EDGES if expr in AT_INFINITY else EDGES[:12])
for shape in SHAPES:
    case("prelu(x, y)", lambda x, y: F.prelu(x, y), x=n(*shape), y=n(1)) if len(shape) > 1 and 0 not in shape else None
    case("prelu(x, 0.3)", lambda x: F.prelu(x, torch.tensor(0.3)), x=n(*shape)) if shape and 0 not in shape else None
for shape in [(4,), (3, 5), (2, 3, 2), (1,), (6, 1), (1, 9), (33,), (5, 4), (2, 2, 2, 2), (7, 3)]:
    x, y = 2 * n(*shape), 2 * n(*shape)
    sign = torch.where(y > 0, torch.ones(()), -torch.ones(()))
    case("huber(x, y)", F.huber_loss, x=x, y=y)
    case("huber(x, y, delta: 0.5)", lambda x, y: F.huber_loss(x, y, delta=0.5), x=x, y=y)
    case("kl_div(x, y)", F.kl_div, fixed=("y",), x=x, y=torch.where(y > 1, torch.zeros(()), short(torch.sigmoid(y))))
    case("poisson_nll(x, y)", F.poisson_nll_loss, fixed=("y",), x=x, y=torch.round(y.abs()))
    case("gaussian_nll(x, y, z)", F.gaussian_nll_loss, fixed=("y",), x=x, y=y, z=n(*shape).abs() + 0.1)
    case("soft_margin(x, y)", F.soft_margin_loss, fixed=("y",), x=x, y=sign)
    case("hinge_embedding(x, y)", F.hinge_embedding_loss, fixed=("y",), x=x, y=sign)
    case("hinge_embedding(x, y, margin: 2.0)", lambda x, y: F.hinge_embedding_loss(x, y, 2.0), fixed=("y",), x=x, y=sign)
    case("margin_ranking(x, y, z)", F.margin_ranking_loss, fixed=("z",), x=x, y=y, z=sign)
    case("margin_ranking(x, y, z, margin: 0.5)", lambda x, y, z: F.margin_ranking_loss(x, y, z, 0.5), fixed=("z",), x=x, y=y, z=sign)
for rows, width in [(1, 1), (2, 3), (4, 5), (3, 1), (7, 2), (1, 16), (6, 8), (5, 33), (2, 2), (9, 4)]:
    x, y, z = n(rows, width), n(rows, width), n(rows, width)
    sign = torch.where(n(rows) > 0, torch.ones(()), -torch.ones(()))
    case("cosine_similarity(x, y)", lambda x, y: F.cosine_similarity(x, y, -1), x=x, y=y)
    case("cosine_embedding(x, y, k)", F.cosine_embedding_loss, fixed=("k",), x=x, y=y, k=sign)
    case("cosine_embedding(x, y, k, margin: 0.2)", lambda x, y, k: F.cosine_embedding_loss(x, y, k, 0.2), fixed=("k",), x=x, y=y, k=sign)
    case("triplet_margin(x, y, z)", F.triplet_margin_loss, x=x, y=y, z=z)
    case("triplet_margin(x, y, z, margin: 3.0)", lambda x, y, z: F.triplet_margin_loss(x, y, z, 3.0), x=x, y=y, z=z)
    k, w = torch.randint(width, (rows,)).double(), short(torch.rand(width)) + 0.125
    case("nll(log_softmax(x, over: 1), i32(k))", lambda x, k: F.nll_loss(F.log_softmax(x, 1), k.long()), fixed=("k",), x=x, k=k)
    case("nll(x, i32(k), weight: w)", lambda x, k, w: F.nll_loss(x, k.long(), weight=w), fixed=("k", "w"), x=x, k=k, w=w)
    case("nll(x, i32(k), ignore: 0)", lambda x, k: F.nll_loss(x, k.long(), ignore_index=0), fixed=("k",), x=x, k=k) if (k > 0).any() else None
torch.set_rng_state(state)

n_ops = save("ops.json")

# ---- convolutions and pools, in a file of their own ----
state = torch.get_rng_state()
start(11)


def words(options):
    """Options as the language has them."""
    show = lambda v: '"%s"' % v if isinstance(v, str) else str(v).lower() if isinstance(v, bool) else str(list(v)) if isinstance(v, tuple) else str(v)
    return "".join(", %s: %s" % (k, show(v)) for k, v in options.items())


def convolution(name, f, x, w, bias=False, **options):
    """x and w: shapes."""
    expr = "%s(x, w%s%s)" % (name, ", y" if bias else "", words(options))
    bias_of = (w[1] * options.get("groups", 1),) if "transpose" in name else w[:1]
    more = {"y": n(*bias_of)} if bias else {}
    case(expr, lambda x, w, y=None: f(x, w, y, **options), x=n(*x), w=n(*w), **more)


for x, w, options in [
        ((1, 1, 4), (1, 1, 1), {}), ((2, 3, 7), (4, 3, 3), {}), ((2, 3, 7), (4, 3, 3), {"padding": 1}), ((1, 2, 9), (3, 2, 3), {"stride": 2}),
        ((2, 2, 8), (3, 2, 3), {"stride": 2, "padding": 1}), ((2, 2, 9), (2, 2, 3), {"dilation": 2}), ((2, 2, 9), (2, 2, 3), {"dilation": 2, "padding": 2}),
        ((2, 2, 10), (2, 2, 2), {"stride": 3, "padding": 1, "dilation": 2}), ((2, 4, 6), (6, 2, 3), {"groups": 2, "padding": 1}),
        ((2, 4, 6), (4, 1, 3), {"groups": 4}), ((2, 4, 6), (8, 1, 3), {"groups": 4, "padding": 1}), ((2, 3, 7), (2, 3, 3), {"padding": "same"}),
        ((2, 3, 7), (2, 3, 4), {"padding": "same"}), ((1, 3, 7), (2, 3, 2), {"padding": "same", "dilation": 3}), ((2, 3, 7), (2, 3, 3), {"padding": "valid"}),
        ((3, 5), (2, 3, 3), {"padding": 1}), ((2, 2, 8), (3, 2, 2), {"stride": 2}), ((2, 2, 9), (3, 2, 4), {"stride": 4}), ((1, 1, 33), (2, 1, 5), {"stride": 2, "padding": 2}),
        ((0, 2, 5), (3, 2, 3), {}), ((2, 2, 5), (3, 2, 1), {"stride": 2}), ((2, 2, 3), (1, 2, 3), {"padding": 5}), ((1, 6, 5), (6, 2, 3), {"groups": 3, "stride": 2, "padding": 1})]:
    convolution("conv1d", F.conv1d, x, w, **options)
    convolution("conv1d", F.conv1d, x, w, bias=True, **options)
for x, w, options in [
        ((1, 1, 3, 3), (1, 1, 2, 2), {}), ((2, 2, 5, 4), (3, 2, 3, 3), {"padding": 1}), ((2, 3, 4, 4), (2, 3, 3, 3), {}), ((1, 2, 6, 5), (3, 2, 3, 2), {"stride": 2}),
        ((1, 2, 6, 5), (3, 2, 3, 2), {"stride": (2, 1), "padding": (1, 0)}), ((2, 2, 5, 6), (2, 2, 3, 3), {"stride": 2, "padding": 1}), ((1, 2, 7, 6), (2, 2, 3, 2), {"dilation": (2, 3)}),
        ((1, 2, 7, 7), (2, 2, 3, 3), {"dilation": 2, "padding": 2, "stride": 2}), ((2, 4, 3, 4), (4, 2, 2, 3), {"groups": 2, "padding": 1}), ((2, 4, 4, 4), (4, 1, 3, 3), {"groups": 4, "padding": 1}),
        ((2, 3, 4, 4), (6, 1, 3, 3), {"groups": 3, "padding": 1}), ((1, 3, 5, 5), (3, 1, 3, 3), {"groups": 3, "stride": 2, "padding": 1}), ((2, 3, 4, 3), (5, 3, 1, 1), {}),
        ((2, 3, 5, 4), (4, 3, 1, 1), {"stride": 2}), ((1, 2, 4, 5), (2, 2, 3, 3), {"padding": "same"}), ((1, 2, 4, 5), (2, 2, 2, 4), {"padding": "same"}),
        ((1, 2, 5, 5), (2, 2, 2, 3), {"padding": "same", "dilation": 2}), ((1, 2, 5, 4), (2, 2, 3, 3), {"padding": "valid"}), ((2, 4, 4), (3, 2, 3, 3), {"padding": 1}),
        ((1, 2, 6, 6), (3, 2, 2, 2), {"stride": 2}), ((1, 2, 7, 5), (3, 2, 3, 2), {"stride": (3, 2)}), ((0, 2, 4, 4), (3, 2, 3, 3), {}), ((2, 1, 5, 5), (4, 1, 5, 5), {}),
        ((1, 2, 3, 3), (2, 2, 5, 5), {"padding": 2}), ((1, 1, 1, 9), (2, 1, 1, 4), {"stride": (1, 2), "padding": (0, 3)}), ((1, 4, 4, 4), (8, 1, 2, 2), {"groups": 4, "stride": 2})]:
    convolution("conv2d", F.conv2d, x, w, **options)
    convolution("conv2d", F.conv2d, x, w, bias=True, **options)
for x, w, options in [
        ((1, 1, 3), (1, 1, 2), {}), ((2, 3, 4), (3, 2, 3), {}), ((2, 3, 4), (3, 2, 3), {"stride": 2}), ((2, 3, 4), (3, 2, 3), {"stride": 2, "padding": 1}),
        ((2, 3, 4), (3, 2, 3), {"stride": 2, "padding": 1, "output_padding": 1}), ((1, 2, 5), (2, 3, 2), {"dilation": 3}), ((1, 2, 5), (2, 3, 3), {"dilation": 2, "stride": 3, "padding": 2}),
        ((2, 4, 4), (4, 2, 3), {"groups": 2}), ((2, 4, 4), (4, 1, 3), {"groups": 4, "stride": 2}), ((2, 4, 4), (4, 2, 2), {"groups": 4, "stride": 2}), ((3, 5), (3, 2, 3), {}),
        ((0, 2, 4), (2, 3, 2), {}), ((1, 2, 4), (2, 2, 2), {"stride": 2}), ((1, 2, 4), (2, 2, 1), {}), ((1, 2, 3), (2, 2, 1), {"stride": 3}), ((2, 2, 6), (2, 1, 5), {"padding": 2}),
        ((1, 1, 7), (1, 4, 4), {"stride": 2, "padding": 1}), ((1, 3, 2), (3, 3, 4), {"stride": 4}), ((1, 2, 5), (2, 3, 2), {"dilation": 3, "output_padding": 2}), ((2, 6, 3), (6, 2, 3), {"groups": 3, "stride": 2, "output_padding": 1})]:
    convolution("conv_transpose1d", F.conv_transpose1d, x, w, **options)
    convolution("conv_transpose1d", F.conv_transpose1d, x, w, bias=True, **options)
for x, w, options in [
        ((1, 1, 2, 2), (1, 1, 2, 2), {}), ((1, 2, 3, 3), (2, 3, 3, 3), {}), ((2, 2, 3, 2), (2, 2, 3, 3), {"stride": 2, "padding": 1}),
        ((1, 2, 3, 2), (2, 2, 3, 3), {"stride": 2, "padding": 1, "output_padding": 1}), ((1, 2, 3, 2), (2, 2, 3, 2), {"stride": (2, 3), "padding": (1, 0), "output_padding": (0, 2)}),
        ((1, 2, 3, 3), (2, 2, 2, 2), {"stride": 2}), ((1, 2, 3, 3), (2, 1, 2, 3), {"dilation": (2, 1)}), ((1, 4, 3, 2), (4, 2, 2, 2), {"groups": 2}), ((1, 4, 2, 2), (4, 1, 3, 3), {"groups": 4}),
        ((1, 4, 2, 2), (4, 2, 2, 2), {"groups": 4, "stride": 2}), ((2, 3, 3), (2, 2, 2, 2), {}), ((0, 2, 3, 3), (2, 2, 2, 2), {}), ((1, 2, 3, 3), (2, 3, 1, 1), {}), ((1, 2, 2, 3), (2, 3, 1, 1), {"stride": 2}),
        ((1, 1, 4, 4), (1, 2, 5, 5), {"padding": 2}), ((1, 1, 3, 4), (1, 2, 4, 4), {"stride": 2, "padding": 1}), ((2, 1, 1, 1), (1, 3, 4, 4), {}), ((1, 2, 1, 4), (2, 2, 1, 3), {"stride": (1, 2), "padding": (0, 1)}),
        ((1, 2, 3, 3), (2, 2, 2, 2), {"dilation": 2, "stride": 2, "output_padding": 1}), ((1, 2, 2, 2), (2, 1, 3, 3), {"stride": 3})]:
    convolution("conv_transpose2d", F.conv_transpose2d, x, w, **options)
    convolution("conv_transpose2d", F.conv_transpose2d, x, w, bias=True, **options)


def specials(t, *values):
    """The values strewn over a tensor."""
    t = t.clone().reshape(-1)
    for v in values:
        t[random.randrange(t.numel())] = v
    return t


def pool(name, f, kernel, x, **options):
    torch_options = {k: v for k, v in options.items() if k != "stride" or v != "kernel"}
    expr = "%s(x, %s%s)" % (name, list(kernel) if isinstance(kernel, tuple) else kernel, words(options))
    case(expr, lambda x: f(x, kernel, **torch_options), x=x)


def pool_inputs(shape):
    """Ordinary, ties, infinities, NaNs."""
    yield n(*shape)
    yield torch.round(n(*shape))
    yield specials(n(*shape), inf, -inf, inf, -inf, -inf).reshape(shape)
    yield specials(n(*shape), nan, nan, nan).reshape(shape)


for shape, kernel, options in [
        ((2, 2, 6), 2, {}), ((1, 2, 7), 3, {"stride": 1}), ((2, 1, 7), 3, {"stride": 2, "padding": 1}), ((1, 1, 8), 3, {"stride": 2, "ceil_mode": True}),
        ((1, 1, 9), 2, {"dilation": 3, "stride": 1}), ((2, 7), 2, {}), ((1, 1, 5), 5, {}), ((1, 2, 6), 4, {"padding": 2, "stride": 3, "ceil_mode": True}), ((1, 1, 4), 1, {})]:
    for x in pool_inputs(shape):
        pool("max_pool1d", F.max_pool1d, kernel, x, **options)
for shape, kernel, options in [
        ((1, 2, 4, 4), 2, {}), ((1, 1, 5, 6), (2, 3), {}), ((1, 2, 5, 5), 3, {"stride": 1}), ((1, 1, 6, 7), 3, {"stride": 2, "padding": 1}), ((1, 1, 6, 5), (3, 2), {"stride": (2, 1), "padding": (1, 0)}),
        ((1, 1, 6, 7), 3, {"stride": 2, "ceil_mode": True}), ((1, 1, 7, 7), 2, {"dilation": (2, 3), "stride": 2}), ((2, 5, 5), 2, {"ceil_mode": True}), ((1, 1, 4, 4), 4, {"padding": 2, "stride": 2, "dilation": 1})]:
    for x in pool_inputs(shape):
        pool("max_pool2d", F.max_pool2d, kernel, x, **options)
for shape, kernel, options in [
        ((2, 2, 6), 2, {}), ((1, 2, 7), 3, {"stride": 1}), ((2, 1, 7), 3, {"stride": 2, "padding": 1}), ((2, 1, 7), 3, {"stride": 2, "padding": 1, "count_include_pad": False}),
        ((1, 1, 8), 3, {"stride": 2, "ceil_mode": True}), ((1, 1, 8), 3, {"stride": 2, "ceil_mode": True, "padding": 1}), ((1, 1, 8), 4, {"stride": 3, "ceil_mode": True, "padding": 2, "count_include_pad": False}),
        ((2, 7), 2, {}), ((1, 1, 5), 5, {}), ((1, 2, 6), 4, {"padding": 2, "stride": 3, "ceil_mode": True}), ((1, 1, 4), 1, {})]:
    for x in pool_inputs(shape):
        pool("avg_pool1d", F.avg_pool1d, kernel, x, **options)
for shape, kernel, options in [
        ((1, 2, 4, 4), 2, {}), ((1, 1, 5, 6), (2, 3), {}), ((1, 2, 5, 5), 3, {"stride": 1}), ((1, 1, 6, 7), 3, {"stride": 2, "padding": 1}),
        ((1, 1, 6, 5), (3, 2), {"stride": (2, 1), "padding": (1, 0), "count_include_pad": False}), ((1, 1, 6, 7), 3, {"stride": 2, "ceil_mode": True}),
        ((1, 1, 6, 7), 3, {"stride": 2, "ceil_mode": True, "padding": 1, "count_include_pad": False}), ((1, 1, 6, 8), 3, {"stride": 2, "ceil_mode": True, "padding": 1}), ((2, 5, 5), 2, {"ceil_mode": True})]:
    for x in pool_inputs(shape):
        pool("avg_pool2d", F.avg_pool2d, kernel, x, **options)
for shape, size in [((2, 2, 6), 3), ((1, 2, 7), 3), ((2, 1, 5), 4), ((3, 6), 1), ((1, 1, 4), 6), ((1, 1, 9), 5)]:
    for x in pool_inputs(shape):
        pool("adaptive_avg_pool1d", F.adaptive_avg_pool1d, size, x)
        pool("adaptive_max_pool1d", F.adaptive_max_pool1d, size, x)
for shape, size in [((1, 2, 4, 6), 2), ((1, 1, 5, 6), (3, 3)), ((2, 1, 5, 4), (2, 3)), ((3, 4, 3), 1), ((1, 1, 3, 4), 5), ((1, 1, 6, 4), (6, 2))]:
    for x in pool_inputs(shape):
        pool("adaptive_avg_pool2d", F.adaptive_avg_pool2d, size, x)
        pool("adaptive_max_pool2d", F.adaptive_max_pool2d, size, x)
torch.set_rng_state(state)
n_windows = save("windows.json")

# ---- optimizers over ten steps ----
runs = []


def run(name, options, make, clip=None, gradient=lambda step: n(4) if step != 6 else torch.zeros(4)):
    p = torch.nn.Parameter(torch.tensor([0.5, -1.25, 0.0, 3.0]))
    start = numbers(p)
    optimizer = make([p])
    steps = []
    for step in range(10):
        g = gradient(step)
        p.grad = g.clone()
        if clip:
            torch.nn.utils.clip_grad_norm_([p], clip)
        optimizer.step()
        steps.append('{"g":%s,"p":%s}' % (numbers(g), numbers(p)))
    runs.append('{"optimizer":"%s",%s"options":%s,"start":%s,"steps":[%s]}' % (name, '"clip":%s,' % clip if clip else "", json.dumps(options, separators=(",", ":")), start, ",".join(steps)))


def write_runs(name):
    with open(os.path.join(here, name), "w") as file:
        file.write("[\n" + ",\n".join(runs) + "\n]\n")
    print(len(runs), "optimizer runs")


O = torch.optim
for lr in (0.1, 1e-3, 0):
    for momentum, dampening, decay, nesterov in [(0, 0, 0, 0), (0.9, 0, 0, 0), (0.9, 0.5, 0, 0), (0.9, 0, 0.1, 0), (0.9, 0, 0, 1), (0.8, 0, 0.01, 1), (0, 0, 0.1, 0), (0.99, 0.99, 0, 0)]:
        run("sgd", {"lr": lr, "momentum": momentum, "dampening": dampening, "decay": decay, "nesterov": nesterov},
            lambda p: O.SGD(p, lr, momentum, dampening, decay, bool(nesterov)))
    for name, make in (("adam", O.Adam), ("adamw", O.AdamW)):
        for beta1, beta2, eps, decay in [(0.9, 0.999, 1e-8, 0), (0.9, 0.999, 1e-8, 0.1), (0.5, 0.9, 1e-8, 0), (0.9, 0.95, 1e-3, 0.01), (0, 0.99, 1e-8, 0), (0.9, 0.999, 1e-8, 0.01)]:
            run(name, {"lr": lr, "beta1": beta1, "beta2": beta2, "eps": eps, "decay": decay},
                lambda p: make(p, lr, (float(beta1), float(beta2)), eps, decay))


class Lion(O.Optimizer):
    """By the paper (arXiv 2302.06675): PyTorch has none."""

    def __init__(self, params, lr, beta1, beta2, decay):
        super().__init__(params, dict(lr=lr, beta1=beta1, beta2=beta2, decay=decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                p.mul_(1 - group["lr"] * group["decay"])
                p.sub_(group["lr"] * torch.sign(group["beta1"] * m + (1 - group["beta1"]) * p.grad))
                m.mul_(group["beta2"]).add_((1 - group["beta2"]) * p.grad)


state = torch.get_rng_state()  # what follows draws as it did without these
for lr in (0.1, 1e-3):
    for alpha, eps, momentum, decay, centered in [(0.99, 1e-8, 0, 0, 0), (0.9, 1e-3, 0, 0.1, 0), (0.99, 1e-8, 0.9, 0, 0), (0.9, 1e-4, 0, 0, 1), (0.5, 1e-2, 0.8, 0.01, 1)]:
        run("rmsprop", {"lr": lr, "alpha": alpha, "eps": eps, "momentum": momentum, "decay": decay, "centered": centered},
            lambda p: O.RMSprop(p, lr, alpha, eps, decay, momentum, bool(centered)))
    for lr_decay, decay, eps in [(0, 0, 1e-10), (0.1, 0, 1e-10), (0, 0.1, 1e-3), (1, 0.01, 1e-10), (0.01, 0, 0.1)]:
        run("adagrad", {"lr": lr, "lr_decay": lr_decay, "decay": decay, "eps": eps}, lambda p: O.Adagrad(p, lr, lr_decay, decay, 0, eps))
    for rho, eps, decay in [(0.9, 1e-6, 0), (0.5, 1e-3, 0), (0.95, 1e-6, 0.1), (0, 1e-2, 0.01), (0.99, 1e-4, 0)]:
        run("adadelta", {"lr": 10 * lr, "rho": rho, "eps": eps, "decay": decay}, lambda p: O.Adadelta(p, 10 * lr, rho, eps, decay))
    for beta1, beta2, eps, decay in [(0.9, 0.999, 1e-8, 0), (0.9, 0.999, 1e-8, 0.1), (0.5, 0.9, 1e-3, 0), (0, 0.99, 1e-8, 0), (0.9, 0.5, 1e-2, 0.01)]:
        run("adamax", {"lr": lr, "beta1": beta1, "beta2": beta2, "eps": eps, "decay": decay}, lambda p: O.Adamax(p, lr, (beta1, beta2), eps, decay))
    for beta1, beta2, decay in [(0.9, 0.99, 0), (0.9, 0.99, 0.1), (0.5, 0.9, 0.01), (0, 0, 0), (0.95, 0.98, 1)]:
        run("lion", {"lr": lr, "beta1": beta1, "beta2": beta2, "decay": decay}, lambda p: Lion(p, lr, beta1, beta2, decay))
torch.set_rng_state(state)
write_runs("optimizers.json")

# ---- the gradient's norm clipped first: below, at and above the bound, zero, and NaN ----
runs = []
plain = {"lr": 0.1, "momentum": 0, "dampening": 0, "decay": 0, "nesterov": 0}
for clip in (1.0, 0.25, 100.0):
    run("sgd", plain, lambda p: O.SGD(p, 0.1), clip)
    run("adamw", {"lr": 0.1, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "decay": 0.1}, lambda p: O.AdamW(p, 0.1, weight_decay=0.1), clip)
run("sgd", plain, lambda p: O.SGD(p, 0.1), 1.0, lambda step: torch.tensor([0.5, -0.5, 0.5, -0.5]))
run("sgd", plain, lambda p: O.SGD(p, 0.1), 1.0, lambda step: torch.tensor([0.5, nan, 0.0, -0.5]) if step == 4 else torch.tensor([3.0, 0.0, 0.0, 4.0]))
write_runs("clipped.json")
print(n_ops + n_windows, "cases, PyTorch", torch.__version__)
