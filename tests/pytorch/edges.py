#!/usr/bin/python3
"""Make edges.json: what PyTorch does at the edges, as make.py makes ops.json; "row" says which edge a case is of.

    apt install python3-torch && /usr/bin/python3 tests/pytorch/edges.py

The results are PyTorch 2.x's.  Where 1.13, which runs this, has another, the function is written out and a comment
says so.  Cases with "training" hold in training only.
"""
import json

import torch
import torch.nn.functional as F

import cases
from cases import inf, n, nan, save, start

start(31)
name = None


def row(text):
    global name
    name = text


def case(expr, f, fixed=(), training=False, **inputs):
    cases.case(expr, f, fixed, **inputs)
    more = ',"training":true' if training else ""
    cases.cases[-1] = cases.cases[-1][:-1] + ',"row":%s%s}' % (json.dumps(name), more)


def v(*values):
    return torch.tensor(values, dtype=torch.float64)


row("relu, relu6, hardtanh: gradient 0 at the bounds")
case("relu(x)", F.relu, x=v(0, -0.0, nan, 1, -1, inf, -inf))
case("relu6(x)", F.relu6, x=v(0, 6, 3, -1, 7, inf, -inf))
case("hardtanh(x)", F.hardtanh, x=v(-1, 1, 0.5, -2, 2, inf, -inf))
case("relu6(x) + hardtanh(x) + hardsigmoid(x)", lambda x: F.relu6(x) + F.hardtanh(x) + F.hardsigmoid(x), fixed=("x",), x=v(nan))  # the slope depends on how many stand beside it
row("clamp: gradient at the bounds; NaN stays, gradient 0")
case("clamp(x, min: -1, max: 1)", lambda x: x.clamp(-1, 1), x=v(-1, 1, nan, 0.5, -2, 2, inf, -inf))
case("clamp(x, min: 0)", lambda x: x.clamp(min=0), x=v(0, -0.0, nan, 1, -1, inf, -inf))
case("clamp(x, max: 2)", lambda x: x.clamp(max=2), x=v(2, nan, 1, 3, inf, -inf))
case("hinge_embedding(x, y)", F.hinge_embedding_loss, fixed=("y",), x=v(1, 1, 0.5, 2), y=v(-1, 1, -1, -1))
case("margin_ranking(x, y, z)", F.margin_ranking_loss, fixed=("z",), x=v(1, 2, 3), y=v(1, 1, 4), z=v(1, -1, 1))
case("triplet_margin(x, y, z, margin: 0.0)", lambda x, y, z: F.triplet_margin_loss(x, y, z, 0.0), x=torch.ones(1, 2), y=v(2, 3).reshape(1, 2), z=v(2, 3).reshape(1, 2))
case("cosine_embedding(x, y, k)", F.cosine_embedding_loss, fixed=("k",), x=v(1, 0, 1, 0).reshape(2, 2), y=v(0, 1, 1, 0).reshape(2, 2), k=v(-1, 1))
row("leaky_relu, elu, selu, celu at 0")
for expr, f in {"leaky_relu(x)": F.leaky_relu, "elu(x)": F.elu, "elu(x, alpha: 0.5)": lambda x: F.elu(x, 0.5), "selu(x)": F.selu, "celu(x)": F.celu, "prelu(x, 0.25)": lambda x: F.leaky_relu(x, 0.25)}.items():
    case(expr, f, x=v(0, -0.0, 1e-20, -1e-20, 1, -1))
    case(expr, f, x=v(nan))  # of vectors of four and more the slope of elu is NaN, of less and on a GPU that of x
row("hardswish: slope 0 at -3 and 1 at 3; hardsigmoid flat at both")  # 1.13 has -0.5 and 1.5
case("hardswish(x)", lambda x: torch.where(x >= 3, x, torch.where(x > -3, x * (x + 3) / 6, 0 * x)), x=v(-3, 3, -4, 4, 0, -1.5))
case("hardsigmoid(x)", lambda x: F.relu6(x + 3) / 6, x=v(-3, 3, -4, 4, 0, inf, -inf))
row("softplus: as x where x is large")
case("softplus(x)", F.softplus, x=v(0, 24, 40, 800, -24, -800, inf, -inf, nan))
case("logsigmoid(x)", F.logsigmoid, x=v(0, -0.0, 24, 40, 800, -24, -40, -800))
row("gelu: by erf; gelu_tanh apart")
case("gelu(x)", F.gelu, x=v(1, 0, -0.0, -1, nan, 30, -30))
case("gelu_tanh(x)", lambda x: F.gelu(x, approximate="tanh"), x=v(1, 0, -0.0, -1, nan, 30, -30))
case("gelu(x)", lambda x: x * 1, fixed=("x",), x=v(inf))
row("abs, sign, floor, ceil, round: gradient 0; halves to even; sign(NaN) is 0")
case("abs(x)", torch.abs, x=v(0, -0.0, 1, -1, inf, -inf, nan))
case("sign(x) + 0 * x", lambda x: torch.sign(x) + 0 * x, x=v(0, -0.0, 1, -1, 1e-30))
case("sign(x)", torch.sign, fixed=("x",), x=v(nan, inf, -inf))
case("round(x) + 0 * x", lambda x: torch.round(x) + 0 * x, x=v(0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.49999997))
case("floor(x) * ceil(x)", lambda x: torch.floor(x) * torch.ceil(x), fixed=("x",), x=v(0.5, -0.5, 2, -2, inf, -inf, nan))
row("sqrt, rsqrt at 0 and below")
case("sqrt(x)", torch.sqrt, x=v(0, -1, 4, inf, nan, -inf))
case("rsqrt(x)", torch.rsqrt, x=v(0, -1, 4, inf, nan, -inf))
row("log, log1p at 0 and below")
case("log(x)", torch.log, x=v(0, -1, -2, 1, inf, nan))
case("log1p(x)", torch.log1p, x=v(-1, -2, 0, inf, nan))
row("exp, expm1, sigmoid, tanh, erf, sin, cos of infinities and NaN")
for name_of, f in {"exp": torch.exp, "expm1": torch.expm1, "sigmoid": torch.sigmoid, "tanh": torch.tanh, "erf": torch.erf, "sin": torch.sin, "cos": torch.cos}.items():
    case("%s(x)" % name_of, f, x=v(0, -0.0, inf, -inf, nan))
row("powers: 0, 1, 0.5, -1")
for p in ("0", "1", "0.5", "-1", "2", "3", "1.5"):
    case("x ^ %s" % p, lambda x, p=p: x ** float(p), x=v(0, 1, 2, inf, nan))
case("pow(x, y)", torch.pow, fixed=("y",), x=v(0, 0, 2, -2, -2, 0), y=v(1, 2, 0, 2, 3, 0))
case("2 ^ x", lambda x: 2 ** x, x=v(0, -1, 1, inf, -inf, nan))
row("maximum, minimum: a tie shares; either NaN is NaN")
case("maximum(x, y)", torch.maximum, x=v(1, 0, -0.0, 2, nan, 1, nan, inf), y=v(1, -0.0, 0, 1, 1, nan, nan, inf))
case("minimum(x, y)", torch.minimum, x=v(1, 0, -0.0, 2, nan, 1, nan, -inf), y=v(1, -0.0, 0, 1, 1, nan, nan, -inf))
row("max, min: a tie is split evenly")
TIES = v(1, 3, 3, 2, 5, 5, 5, 5, -1, -2, -1, -1).reshape(3, 4)
case("max(x)", lambda x: x.max(), x=v(3, 1, 3, 3))
case("min(x)", lambda x: x.min(), x=v(3, 1, 1, 3, 1))
case("max(x, over: 1)", lambda x: x.amax(1), x=TIES)
case("min(x, over: [0, 1])", lambda x: x.amin([0, 1]), x=TIES)
row("the largest of an axis by its index: the first; NaN wins, the first of them")
FIRSTS = v(1, 3, 3, 2, nan, 5, nan, 5, inf, inf, -inf, 0, -inf, -inf, -inf, -inf).reshape(4, 4)
case("sum(where(one_hot(argmax(x, over: 1), like: x), x, 0.0), over: 1)", lambda x: x.max(1).values, x=FIRSTS)
case("sum(where(one_hot(argmin(x, over: 1), like: x), x, 0.0), over: 1)", lambda x: x.min(1).values, x=FIRSTS)
case("f32(argmax(x, over: 1)) + 10 * f32(argmin(x, over: 1))", lambda x: x.argmax(1) + 10.0 * x.argmin(1), fixed=("x",), x=FIRSTS)
row("max_pool: the first of a tie, the last NaN")
case("max_pool1d(x, 3, stride: 1)", lambda x: F.max_pool1d(x, 3, 1), x=v(1, 2, 2, 2, nan, 0, nan, 1, 1).reshape(1, 1, 9))
case("max_pool2d(x, 2)", lambda x: F.max_pool2d(x, 2), x=v(1, 1, nan, 0, 1, 1, nan, 2, 0, 0, inf, inf, -1, 0, 0, inf).reshape(1, 1, 4, 4))
row("max_pool: the border is -inf and never chosen")
case("max_pool1d(x, 3, stride: 2, padding: 1)", lambda x: F.max_pool1d(x, 3, 2, 1), x=v(-1, -2, -3, -4, -inf, -inf, -inf).reshape(1, 1, 7))
case("max_pool2d(x, 2, padding: 1)", lambda x: F.max_pool2d(x, 2, padding=1), x=-torch.ones(1, 1, 3, 3))
row("ceil_mode: the last window begins inside the input or its left border")
for w, k, s, p in [(5, 2, 2, 0), (5, 3, 3, 1), (6, 2, 3, 1), (4, 3, 3, 1), (3, 2, 2, 1)]:
    words = "%d, stride: %d, padding: %d, ceil_mode: true" % (k, s, p)
    case("max_pool1d(x, %s)" % words, lambda x, k=k, s=s, p=p: F.max_pool1d(x, k, s, p, ceil_mode=True), x=n(1, 1, w))
    case("avg_pool1d(x, %s)" % words, lambda x, k=k, s=s, p=p: F.avg_pool1d(x, k, s, p, ceil_mode=True), x=n(1, 1, w))
row("convolutions: `same` with an even window has its extra place at the end")
case('conv1d(x, w, padding: "same")', lambda x, w: F.conv1d(x, w, padding="same"), x=n(1, 1, 5), w=n(1, 1, 4))
case('conv1d(x, w, padding: "same", dilation: 3)', lambda x, w: F.conv1d(x, w, padding="same", dilation=3), x=n(1, 2, 6), w=n(1, 2, 2))
case('conv2d(x, w, padding: "same")', lambda x, w: F.conv2d(x, w, padding="same"), x=n(1, 1, 4, 5), w=n(1, 1, 2, 4))
row("softmax: all -inf or any +inf is NaN, some -inf are not")
INFINITE = v(0, -inf, 1, -inf, -inf, -inf, inf, 0, 0, nan, 0, 0).reshape(4, 3)
case("softmax(x, over: 1)", lambda x: F.softmax(x, 1), fixed=("x",), x=INFINITE)
case("softmax(x, over: 1)", lambda x: F.softmax(x, 1), x=v(0, -inf, 1, -inf, -inf, 5).reshape(2, 3))
case("log_softmax(x, over: 1)", lambda x: F.log_softmax(x, 1), fixed=("x",), x=INFINITE)
case("logsumexp(x, over: 1)", lambda x: torch.logsumexp(x, 1), fixed=("x",), x=INFINITE)
case("softmax(x, over: 0)", lambda x: F.softmax(x, 0), x=v(1000, 1000, -1000))
row("attention: a place that sees nothing has 0; `causal` from the top left; scale 1/sqrt(d)")  # 1.13 has no such function


def attention(q, k, v, mask=None, causal=False, scale=None):
    scores = q @ k.transpose(-1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale)
    seen = torch.ones(scores.shape) > 0 if mask is None else (mask > 0).expand(scores.shape)
    seen = seen & (torch.ones(scores.shape[-2:]).tril() > 0) if causal else seen
    none = ~seen.any(-1, keepdim=True)
    return torch.where(none, torch.zeros(()), torch.softmax(torch.where(seen | none, scores, torch.full((), -inf)), -1)) @ v


case("scaled_dot_product_attention(x, y, z)", attention, x=n(2, 3, 4), y=n(2, 5, 4), z=n(2, 5, 4))
case("scaled_dot_product_attention(x, y, z, causal: true)", lambda x, y, z: attention(x, y, z, causal=True), x=n(3, 4), y=n(5, 4), z=n(5, 4))
case("scaled_dot_product_attention(x, y, z, causal: true)", lambda x, y, z: attention(x, y, z, causal=True), x=n(5, 2), y=n(3, 2), z=n(3, 2))
for rows in (v(0, 1, 1), v(0, 0, 0), v(1, 0, 1)):
    case("scaled_dot_product_attention(x, y, z, mask: reshape(m, [3, 1]) > 0)", lambda x, y, z, m: attention(x, y, z, m[:, None]), fixed=("m",), x=n(3, 2), y=n(4, 2), z=n(4, 2), m=rows)
row("attention: a scale of its own, in place of 1/sqrt(d); of 0 every place is seen alike")
state = torch.get_rng_state()  # what follows draws as it did without these
for scale in (1, 0.25, 0, -2.5, 8):
    case("scaled_dot_product_attention(x, y, z, scale: %s)" % scale, lambda x, y, z, scale=scale: attention(x, y, z, scale=scale), x=n(2, 3, 4), y=n(2, 5, 4), z=n(2, 5, 4))
    case("scaled_dot_product_attention(x, y, z, causal: true, scale: %s)" % scale, lambda x, y, z, scale=scale: attention(x, y, z, causal=True, scale=scale), x=n(4, 3), y=n(4, 3), z=n(4, 2))
case("scaled_dot_product_attention(x, y, z, mask: reshape(m, [3, 1]) > 0, scale: 2)", lambda x, y, z, m: attention(x, y, z, m[:, None], scale=2), fixed=("m",), x=n(3, 2), y=n(4, 2), z=n(4, 2), m=v(0, 1, 1))
torch.set_rng_state(state)
row("where: the branch not taken leaks NaN")
case("where(x > 0, sqrt(x), 0 * x)", lambda x: torch.where(x > 0, torch.sqrt(x), 0 * x), x=v(0, 1, 4))
case("where(x > 0, log(x), x)", lambda x: torch.where(x > 0, torch.log(x), x), x=v(0, 1, -1))
case("where(x > y, x, y)", lambda x, y: torch.where(x > y, x, y), x=v(nan, 1, inf), y=v(1, nan, inf))
row("norm of zeros, std of equals, var of one")
case("norm(x)", lambda x: x.norm(), x=torch.zeros(3))
case("norm(x, over: 1)", lambda x: torch.linalg.vector_norm(x, dim=1), x=v(0, 0, 3, 4, inf, 1, nan, 0).reshape(4, 2))
case("std(x)", torch.std, x=torch.ones(4))
case("std(x, over: 1)", lambda x: x.std(1), x=v(1, 1, 2, 4).reshape(2, 2))
case("var(x, over: 1)", lambda x: x.var(1), fixed=("x",), x=n(3, 1))
case("var(x, over: 1, unbiased: false)", lambda x: x.var(1, unbiased=False), x=n(3, 1))
row("nothing at all")
case("sum(x)", lambda x: x.sum(), x=torch.zeros(0))
case("mean(x)", lambda x: x.mean(), x=torch.zeros(0))
case("mean(x, over: 1)", lambda x: x.mean(1), x=torch.zeros(2, 0))
case("norm(x, over: 1)", lambda x: torch.linalg.vector_norm(x, dim=1), x=torch.zeros(2, 0))
case("var(x)", lambda x: x.var(), fixed=("x",), x=torch.zeros(0))
case("x @ y", torch.matmul, x=torch.zeros(2, 0), y=torch.zeros(0, 2))
case("x + y", torch.add, x=torch.zeros(0), y=v(2))
case("mse(x, y)", F.mse_loss, x=torch.zeros(0), y=torch.zeros(0))
row("cross_entropy: weights of the rows kept; all ignored; smoothing")
x, k, w = n(4, 3), v(0, 2, 1, 2), v(0.5, 2, 1)
for smoothing in (0.0, 0.1, 1.0):
    words = ", smoothing: %s" % smoothing if smoothing else ""
    for targets in (k, v(0, -100, 1, -100), v(-100, -100, -100, -100)):
        case("cross_entropy(x, i32(k), weight: w%s)" % words, lambda x, k, w, s=smoothing: F.cross_entropy(x, k.long(), w, label_smoothing=s), fixed=("k", "w"), x=x, k=targets, w=w)
        case("cross_entropy(x, i32(k)%s)" % words, lambda x, k, s=smoothing: F.cross_entropy(x, k.long(), label_smoothing=s), fixed=("k",), x=x, k=targets)
case("cross_entropy(x, i32(k), weight: w)", lambda x, k, w: F.cross_entropy(x, k.long(), w), fixed=("k", "w"), x=x, k=k, w=v(0, 1, 2))
case("cross_entropy(x, i32(k), ignore: 2)", lambda x, k: F.cross_entropy(x, k.long(), ignore_index=2), fixed=("k",), x=x, k=k)
case("cross_entropy(x, i32(k))", lambda x, k: F.cross_entropy(x, k.long()), fixed=("k",), x=v(0, -inf, 1, 2, 0, -inf).reshape(2, 3), k=v(0, 1))
case("cross_entropy(x, i32(k))", lambda x, k: F.cross_entropy(x, k.long()), fixed=("k",), x=1e4 * x, k=k)
case("nll(x, i32(k), weight: w)", lambda x, k, w: F.nll_loss(x, k.long(), w), fixed=("k", "w"), x=x, k=v(-100, -100, -100, -100), w=w)
row("bce: logs stop at -100, the slope's denominator at 1e-12")
case("bce(x, y)", F.binary_cross_entropy, fixed=("y",), x=v(0, 1, 0, 1, 0.5), y=v(0, 1, 1, 0, 0.5))
case("bce_with_logits(x, y)", F.binary_cross_entropy_with_logits, fixed=("y",), x=v(0, -0.0, 1000, -1000, 30), y=v(0.5, 1, 0, 1, 1))
row("l1 at 0; smooth_l1 and huber at their bounds; beta 0 is l1")
case("l1(x, y)", F.l1_loss, x=v(1, 2, 3), y=v(1, 3, 1))
case("smooth_l1(x, y)", F.smooth_l1_loss, x=v(1, 2, 3, 0), y=v(1, 3, 1, -1))
case("smooth_l1(x, y, beta: 0.0)", F.l1_loss, x=v(1, 2, 3), y=v(1, 3, 1))  # as documented; 1.13 has slope -1 at a tie
case("huber(x, y)", F.huber_loss, x=v(1, 2, 3, 0), y=v(1, 3, 1, -1))
row("gaussian_nll: the variance is raised to eps, and its slope goes on")
case("gaussian_nll(x, y, z)", F.gaussian_nll_loss, fixed=("y",), x=v(1, 2, 3), y=v(1, 2, 1), z=v(1, 0.5, 2))
case("gaussian_nll(x, y, z, eps: 0.5)", lambda x, y, z: F.gaussian_nll_loss(x, y, z, eps=0.5), fixed=("y",), x=v(1, 2, 3, 4), y=v(1, 1, 1, 1), z=v(0, 0.25, 0.5, 1))
row("kl_div: 0 log 0 is 0; cosine_similarity of zeros is 0")
case("kl_div(x, y)", lambda x, y: F.kl_div(x, y, reduction="mean"), fixed=("y",), x=v(-1, -2, 0), y=v(0, 0.5, 1))
case("cosine_similarity(x, y)", lambda x, y: F.cosine_similarity(x, y, -1), fixed=("x", "y"), x=torch.zeros(2, 3), y=torch.ones(2, 3))
row("shrinks and thresholds at their bounds")
for expr, f in {"softshrink(x)": F.softshrink, "hardshrink(x)": F.hardshrink, "threshold(x, 0.5, -1.0)": lambda x: F.threshold(x, 0.5, -1.0)}.items():
    case(expr, f, x=v(0.5, -0.5, 0, 1, -1, inf, -inf))
row("layer_norm and rms_norm: eps is inside of the root")
case("(x |> ln: LayerNorm()) * y", lambda x, y: F.layer_norm(x, (4,)) * y, x=n(3, 4) / 256, y=n(3, 4))
case("(x |> ln: LayerNorm()) * y", lambda x, y: F.layer_norm(x, (4,)) * y, x=torch.ones(3, 4), y=n(3, 4))
case("(x |> ln: RMSNorm()) * y", lambda x, y: x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1.1920928955078125e-07) * y, x=n(3, 4) / 4096, y=n(3, 4))  # from 2.4 on
case("(x |> ln: RMSNorm()) * y", lambda x, y: x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1.1920928955078125e-07) * y, x=torch.zeros(2, 4), y=n(2, 4))
row("embedding: rows used twice accumulate")
case("x[i32(k)]", lambda x, k: F.embedding(k.long(), x), fixed=("k",), x=n(4, 3), k=v(1, 1, 3, 1, 0))
row("dropout of everything: 0, but NaN of infinities")
case("dropout(x, 1.0)", lambda x: F.dropout(x, 1.0), training=True, x=v(1, -2, 0))
case("dropout(x, 1.0)", lambda x: x * 0, training=True, x=v(inf, nan, 1))
case("dropout(x, 0.0)", lambda x: F.dropout(x, 0.0), training=True, x=v(1, -2, inf))
row("integers: // floors, % takes the divisor's sign, / gives floats")
a, b = v(7, -7, 7, -7, 6, -6, 0, 1), v(3, 3, -3, -3, 3, -3, 5, 9)
case("f32(i32(x) // i32(y))", lambda x, y: torch.div(x, y, rounding_mode="floor"), fixed=("x", "y"), x=a, y=b)
case("f32(i32(x) % i32(y))", torch.remainder, fixed=("x", "y"), x=a, y=b)
case("i32(x) / i32(y)", torch.div, fixed=("x", "y"), x=a, y=b)
row("floats: // and % by 0, infinities and NaN")
a, b = v(7, -7, 7, -7, 1, -1, 0, inf, nan, 1, 2.5, -2.5), v(3, 3, -3, -3, inf, inf, 2, 2, 1, nan, 0.5, 0.5)
case("x % y", torch.remainder, fixed=("x", "y"), x=a, y=b)
case("x // y", lambda x, y: torch.div(x, y, rounding_mode="floor"), fixed=("x", "y"), x=a, y=b)
case("x % y", torch.remainder, fixed=("x", "y"), x=v(1, -1, 0), y=torch.zeros(3))
case("x // y", lambda x, y: torch.div(x, y, rounding_mode="floor"), fixed=("x", "y"), x=v(1, -1, 0), y=torch.zeros(3))
row("an index outside of its axis reads NaN and adds nothing")  # PyTorch stops
inside = lambda k, size: (k >= 0) & (k < size)
far = v(0, 3, -1, 2, 1, 9).reshape(2, 3)
case("x[i32(k)]", lambda x, k: torch.where(inside(k, 4)[:, None], x[k.clamp(0, 3).long()], nan), fixed=("k",), x=n(4, 3), k=v(1, 4, -1, 3))
case("gather(x, i32(k), over: 1)", lambda x, k: torch.where(inside(k, 3), x.gather(1, k.clamp(0, 2).long()), nan), fixed=("k",), x=n(2, 3), k=far)
case("scatter_add(x, i32(k), y, over: 1)", lambda x, k, y: x.scatter_add(1, k.clamp(0, 2).long(), torch.where(inside(k, 3), y, 0.0)), fixed=("k",), x=n(2, 3), k=far, y=n(2, 3))

print(save("edges.json"), "cases, PyTorch", torch.__version__)
