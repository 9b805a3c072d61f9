"""What the files of cases are made with: an expression of the model language, and PyTorch's value and gradients of it."""
import json
import math
import os
import random

import torch

torch.set_default_dtype(torch.float64)
here = os.path.dirname(os.path.abspath(__file__))
inf, nan = math.inf, math.nan
cases = []


def start(seed):
    torch.manual_seed(seed)
    random.seed(seed)


def number(v, digits):
    if math.isnan(v) or math.isinf(v):
        return json.dumps(str(v))
    text = "%.*g" % (digits, v)
    return "-0.0" if text == "-0" else text


def numbers(t, digits=17):
    return "[" + ",".join(number(v, digits) for v in t.detach().double().reshape(-1).tolist()) + "]"


def shape_of(t):
    return json.dumps(list(t.shape), separators=(",", ":"))


def f32_error(f, tensors, out, upstream):
    """The largest ||d||/||ref|| of PyTorch's own results in float, 0 where that says nothing."""
    single = {k: v.detach().float().requires_grad_(v.requires_grad) for k, v in tensors.items()}
    torch.set_default_dtype(torch.float32)
    again = f(*single.values())
    torch.set_default_dtype(torch.float64)
    (again * upstream.float()).sum().backward()
    pairs = [(again, out)] + [(single[k].grad, v.grad) for k, v in tensors.items() if v.grad is not None and single[k].grad is not None]
    errors = [((a.double() - b).norm() / b.norm()).item() for a, b in pairs if b.numel()]
    return max([e for e in errors if math.isfinite(e)], default=0)


def case(expr, f, fixed=(), **inputs):
    """expr in the model language, f the same on tensors; inputs named in `fixed` get no gradient."""
    tensors = {k: v.clone().double() for k, v in inputs.items()}
    for k, v in tensors.items():
        v.requires_grad_(k not in fixed)
    out = f(*tensors.values()).double()
    upstream = n(*out.shape)
    if out.requires_grad:
        (out * upstream).sum().backward()
    mine = f32_error(f, tensors, out, upstream) if out.requires_grad else 0
    x = ",".join("[%s,%s,%s,%s]" % (json.dumps(k), shape_of(v), numbers(v), "null" if v.grad is None else numbers(v.grad, 14))
                 for k, v in tensors.items())
    cases.append('{"e":%s,"x":[%s],"s":%s,"v":%s,"u":%s%s}' % (json.dumps(expr), x, shape_of(out), numbers(out, 14), numbers(upstream),
                 ',"f":%.2g' % (1.5 * mine) if 1.5 * mine > 1e-5 else ""))


def short(t):
    """Rounded to 1/256: exact in float and short in decimal."""
    return torch.round(t * 256) / 256


def n(*shape):
    t = short(torch.randn(shape))
    return torch.where(t == 0, torch.full_like(t, 0.25), t)


def over(axes):
    return ", over: " + (str(axes[0]) if len(axes) == 1 else "[" + ", ".join(map(str, axes)) + "]")


def save(name):
    """Write the cases made so far and begin anew; how many they were."""
    count = len(cases)
    with open(os.path.join(here, name), "w") as file:
        file.write("[\n" + ",\n".join(cases) + "\n]\n")
    cases.clear()
    return count
