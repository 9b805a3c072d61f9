#!/usr/bin/python3
"""Make bf16.json: what PyTorch computes in bf16.

    /usr/bin/python3 tests/pytorch/bf16.py

"same": operators on bf16 tensors, {"e": expression, "x": [[name, shape, data,
gradient or null], ...], "s": shape, "v": value, "u": upstream gradient}, as in
ops.json; ours must have the same bits.

"autocast": the same of expressions under torch.autocast, but value and
gradients are those of float64, and behind each stands how far PyTorch's
autocast is from it, ||d|| / ||ref||: x: [[name, shape, data, gradient, error]],
"f": the value's error.
"""
import json
import math
import os
import torch
import torch.nn.functional as F

torch.manual_seed(1)
here = os.path.dirname(os.path.abspath(__file__))


def numbers(t):
    return [v if math.isfinite(v) else str(v) for v in t.detach().double().reshape(-1).tolist()]


def digits(t):
    return [float("%.8g" % v) for v in t.detach().reshape(-1).tolist()]


def short(t):
    t = torch.round(t * 64) / 64
    return torch.where(t == 0, torch.full_like(t, 0.25), t)


def n(*shape):
    return short(torch.randn(shape))


def gradients(f, tensors, fixed, upstream, context=None):
    leaves = {k: v.detach().clone().requires_grad_(k not in fixed) for k, v in tensors.items()}
    if context:
        with context:
            out = f(*leaves.values())
    else:
        out = f(*leaves.values())
    out = out.to(upstream.dtype)
    (out * upstream).sum().backward()
    return out.detach(), {k: v.grad for k, v in leaves.items()}


same, autocast = [], []


def case(expr, f, whole=False, **inputs):
    """expr casts its inputs to bf16 and its value to f32; f gets and gives bf16."""
    tensors = {k: v.float() for k, v in inputs.items()}
    g = lambda *t: f(*[v.bfloat16() for v in t]).float()
    upstream = n(*g(*tensors.values()).shape)
    upstream = torch.round(upstream * 2) if whole else upstream
    out, grads = gradients(g, tensors, (), upstream)
    same.append({"e": expr, "x": [[k, list(v.shape), numbers(v), numbers(grads[k])] for k, v in tensors.items()],
                 "s": list(out.shape), "v": numbers(out), "u": numbers(upstream)})


def error(a, b):
    return ((a.double() - b).norm() / b.norm()).item()


def cast_case(expr, f, fixed=(), **inputs):
    shape = f(*[v.double() for v in inputs.values()]).shape
    upstream = short(torch.randn(shape)).double() if shape else torch.ones(()).double()
    exact, exact_grads = gradients(f, {k: v.double() for k, v in inputs.items()}, fixed, upstream)
    got, grads = gradients(f, {k: v.float() for k, v in inputs.items()}, fixed, upstream.float(), torch.autocast("cpu", dtype=torch.bfloat16))
    x = [[k, list(v.shape), numbers(v)] + ([None, 0] if k in fixed else [digits(exact_grads[k]), error(grads[k], exact_grads[k])]) for k, v in inputs.items()]
    autocast.append({"e": expr, "x": x, "s": list(shape), "v": digits(exact), "u": numbers(upstream), "f": error(got, exact)})


# ---- operators: one rounding each, forward and backward ----
for shape in [(7,), (3, 5), (2, 3, 4)]:
    for op, f in {"+": torch.add, "-": torch.sub, "*": torch.mul}.items():
        case("f32(bf16(x) %s bf16(y))" % op, f, x=n(*shape), y=n(*shape))
        case("f32(bf16(x) %s bf16(y))" % op, f, x=3.3 * n(*shape), y=n(*shape[:-1], 1))
    case("f32(-bf16(x))", torch.neg, x=n(*shape))
    case("f32(abs(bf16(x)))", torch.abs, x=1.7 * n(*shape))
    case("f32(relu(bf16(x)))", torch.relu, x=n(*shape))
    case("f32(maximum(bf16(x), bf16(y)))", torch.maximum, x=n(*shape), y=n(*shape))
    case("f32(bf16(x) * bf16(y) + bf16(x))", lambda x, y: x * y + x, x=0.7 * n(*shape), y=n(*shape))
    case("f32((bf16(x) - bf16(y)) * (bf16(x) + bf16(y)))", lambda x, y: (x - y) * (x + y), x=1.3 * n(*shape), y=n(*shape))
    case("f32(bf16(x) * bf16(y) * bf16(z))", lambda x, y, z: x * y * z, x=n(*shape), y=n(*shape), z=0.9 * n(*shape))
    case("f32(where(bf16(x) > bf16(y), bf16(x) * bf16(y), bf16(y)))", lambda x, y: torch.where(x > y, x * y, y), x=n(*shape), y=n(*shape))
    case("f32(clamp(bf16(x), min: -1, max: 1))", lambda x: torch.clamp(x, -1, 1), x=2 * n(*shape))
    case("f32(2 * bf16(x) - 3)", lambda x: 2 * x - 3, x=n(*shape))
    case("f32(bf16(x) / 4)", lambda x: x / 4, x=3.1 * n(*shape))
    case("f32(bf16(x)) * y", lambda x, y: x.float() * y.float(), x=3.3 * n(*shape), y=n(*shape))
for sizes in [(1, 1, 1), (2, 3, 4), (5, 8, 3)]:  # sums that are exact: any order gives them
    m, k, c = sizes
    case("f32(bf16(x) @ bf16(y))", torch.matmul, True, x=torch.round(n(m, k) * 4), y=torch.round(n(k, c) * 4))
    case("f32(relu(bf16(x) @ bf16(y)) @ bf16(z))", lambda x, y, z: torch.relu(x @ y) @ z, True, x=torch.round(n(m, k) * 2),
         y=torch.round(n(k, c) * 2), z=torch.round(n(c, 2) * 2))

# ---- expressions under autocast ----
def norm(h):
    c = h.float() if h.dtype == torch.bfloat16 else h
    c = c - c.mean(1, keepdim=True)
    return c * torch.rsqrt((c * c).mean(1, keepdim=True) + 1e-5)


for scale in (0.25, 0.5):
    x, y, z, b, w, q = n(16, 24), scale * n(24, 20), scale * n(20, 8), n(20), scale * n(24, 24), n(3, 8, 12)
    k = torch.randint(8, (16,)).double()
    cast_case("x @ y", lambda x, y: x @ y, x=x, y=y)
    cast_case("x @ y + b", lambda x, y, b: x @ y + b, x=x, y=y, b=b)
    cast_case("x @ y @ z", lambda x, y, z: x @ y @ z, x=x, y=y, z=z)
    cast_case("relu(x @ y + b) @ z", lambda x, y, b, z: torch.relu(x @ y + b) @ z, x=x, y=y, b=b, z=z)
    cast_case("gelu(x @ y + b) @ z", lambda x, y, b, z: F.gelu(F.linear(x, y.t(), b)) @ z, x=x, y=y, b=b, z=z)
    cast_case("gelu(x @ y) @ z", lambda x, y, z: F.gelu(x @ y) @ z, x=x, y=y, z=z)
    cast_case("tanh(x @ y) @ z", lambda x, y, z: torch.tanh(x @ y) @ z, x=x, y=y, z=z)
    cast_case("silu(x @ y) @ z", lambda x, y, z: F.silu(x @ y) @ z, x=x, y=y, z=z)
    cast_case("sigmoid(x @ y) * (x @ y)", lambda x, y: torch.sigmoid(x @ y) * (x @ y), x=x, y=y)
    cast_case("softmax(x @ y, over: 1) @ z", lambda x, y, z: torch.softmax(x @ y, 1) @ z, x=x, y=y, z=z)
    cast_case("relu(x @ w) @ w + x", lambda x, w: torch.relu(x @ w) @ w + x, x=x, w=w)
    cast_case("t(y) @ t(x)", lambda x, y: y.t() @ x.t(), x=x, y=y)
    cast_case("x * 2 @ t(x)", lambda x: x * 2 @ x.t(), x=x)
    cast_case("softmax(q @ t(q) / 3.5, over: 2) @ q", lambda q: torch.softmax(q @ q.transpose(1, 2) / 3.5, 2) @ q, q=scale * q)
    cast_case("cross_entropy(relu(x @ y) @ z, i32(k))", lambda x, y, z, k: F.cross_entropy((torch.relu(x @ y) @ z).to(torch.promote_types(x.dtype, torch.float32)), k.long()),
              fixed=("k",), x=x, y=y, z=z, k=k)
    cast_case("mse(x @ y, x @ y * 0.5 + b)", lambda x, y, b: F.mse_loss((x @ y).to(x.dtype), x @ y * 0.5 + b), x=x, y=y, b=b)

with open(os.path.join(here, "bf16.json"), "w") as file:
    for part in ("same", "autocast"):
        cases = [json.dumps(c, separators=(",", ":")) for c in globals()[part]]
        file.write("%s\"%s\":[\n%s\n]" % ("{" if part == "same" else ",\n", part, ",\n".join(cases)))
    file.write("}\n")
print(len(same), "operators,", len(autocast), "under autocast, PyTorch", torch.__version__)
