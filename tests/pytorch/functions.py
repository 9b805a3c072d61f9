#!/usr/bin/python3
"""Make functions.json: more of every function, as make.py makes ops.json, so that each has twenty cases.

    apt install python3-torch && /usr/bin/python3 tests/pytorch/functions.py

What the other files leave thin: functions of something, times something, of part of it, and differentiated twice;
casts and the functions that give shapes and indices; losses at their edges.
"""
import torch
import torch.nn.functional as F

from cases import case, inf, n, nan, over, save, short, start

start(21)
EDGES = torch.tensor([0.0, -0.0, inf, -inf, nan, 1.0, -1.0])


def slope(expr, f, **inputs):
    """The gradient of the sum of its squares, differentiated again."""
    case("grad(sum((%s) ^ 2), x)" % expr, lambda *v: torch.autograd.grad((f(*v) ** 2).sum(), v[0], create_graph=True)[0], **inputs)


# ---- maps ----
SMOOTH = {
    "exp(x)": torch.exp, "expm1(x)": torch.expm1, "sin(x)": torch.sin, "cos(x)": torch.cos, "tanh(x)": torch.tanh, "erf(x)": torch.erf, "sigmoid(x)": torch.sigmoid,
    "gelu(x)": F.gelu, "gelu_tanh(x)": lambda x: F.gelu(x, approximate="tanh"), "silu(x)": F.silu, "softplus(x)": F.softplus, "mish(x)": F.mish,
    "logsigmoid(x)": F.logsigmoid, "softsign(x)": F.softsign, "celu(x)": F.celu, "selu(x)": F.selu, "elu(x, alpha: 0.5)": lambda x: F.elu(x, 0.5), "tanhshrink(x)": F.tanhshrink,
    "abs(x)": torch.abs, "relu(x)": F.relu, "threshold(x, 0.1, 20.0)": lambda x: F.threshold(x, 0.1, 20.0), "hardtanh(x)": F.hardtanh, "relu6(x)": F.relu6,
    "hardsigmoid(x)": lambda x: F.relu6(x + 3) / 6, "hardswish(x)": lambda x: x * F.relu6(x + 3) / 6, "softshrink(x)": F.softshrink, "hardshrink(x)": F.hardshrink,
    "prelu(x, 0.3)": lambda x: torch.where(x > 0, x, 0.3 * x), "leaky_relu(x)": F.leaky_relu,
}
POSITIVE = {"log(x)": torch.log, "log1p(x)": torch.log1p, "sqrt(x)": torch.sqrt, "rsqrt(x)": torch.rsqrt, "pow(x, 3)": lambda x: x ** 3, "pow(x, -0.5)": lambda x: x ** -0.5}
for expr, f in {**SMOOTH, **POSITIVE}.items():
    draw = (lambda *s: n(*s).abs() + 0.125) if expr in POSITIVE else n
    of = lambda what, expr=expr: expr.replace("(x", "(" + what, 1)
    for shape in [(7,), (2, 3)]:
        slope(expr, f, x=draw(*shape))
    case("%s * y" % expr, lambda x, y, f=f: f(x) * y, x=draw(3, 1), y=n(2, 1, 4))
    case(of("x * y"), lambda x, y, f=f: f(x * y), x=draw(5), y=draw(2, 5))
    case("sum(%s, over: 0)" % of("t(x)"), lambda x, f=f: f(x.t()).sum(0), x=draw(3, 5))
    case(of("x[1:]"), lambda x, f=f: f(x[1:]), x=draw(4, 2))
    case(of(of("x")), lambda x, f=f: f(f(x)), x=draw(6)) if expr not in POSITIVE else None
for name, f in {"floor": torch.floor, "ceil": torch.ceil, "round": torch.round, "sign": torch.sign}.items():
    for a, b in [((3,), (3,)), ((2, 1), (3,)), ((0,), (1,))]:
        case("%s(x) * y" % name, lambda x, y, f=f: f(x) * y, fixed=("x",), x=3 * n(*a), y=n(*b))
    case("%s(x)" % name, f, fixed=("x",), x=EDGES)
    case("%s(4 * x) - 4 * x" % name, lambda x, f=f: f(4 * x) - 4 * x, x=n(3, 4))
    case("sum(%s(x) * x, over: 0)" % name, lambda x, f=f: (f(x) * x).sum(0), x=torch.tensor([[0.5, -0.5], [1.5, -1.5], [2.5, -2.5]]))
for shape in [(), (1,), (5,), (2, 3), (3, 1, 2), (0,), (17,), (2, 2, 2), (4, 1)]:
    case("x * stop(x)", lambda x: x * x.detach(), x=n(*shape))
    case("stop(exp(x)) * y + x", lambda x, y: x.exp().detach() * y + x, x=n(*shape), y=n(*shape))
case("stop(x) + 0 * x", lambda x: x.detach() + 0 * x, x=EDGES)
case("grad(sum(x ^ 3 * stop(x)), x)", lambda x: torch.autograd.grad((x ** 3 * x.detach()).sum(), x, create_graph=True)[0], x=n(5))
for a, b in [((), ()), ((3,), ()), ((2, 3), (3,)), ((2, 1), (1, 3)), ((4, 1, 3), (2, 1)), ((0,), (1,)), ((7,), (7,)), ((1, 5), (3, 1)), ((2, 2, 2), (2, 2))]:
    case("pow(x, y)", torch.pow, x=n(*a).abs() + 0.125, y=n(*b))
    case("pow(x, 2) - pow(y, 3)", lambda x, y: x ** 2 - y ** 3, x=n(*a), y=n(*b))
case("pow(x, y)", torch.pow, fixed=("x", "y"), x=torch.tensor([0.0, -0.0, inf, -inf, nan, nan, 1.0, -1.0, -8.0, 2.0]), y=torch.tensor([0.0, -1.0, 0.0, 3.0, 0.0, 1.0, nan, inf, 0.5, -inf]))
for name, f in {"maximum": torch.maximum, "minimum": torch.minimum}.items():
    case("%s(x, y)" % name, f, x=torch.round(n(4, 5)), y=torch.round(n(5)))
    case("%s(x, %s(y, x))" % (name, name), lambda x, y, f=f: f(x, f(y, x)), x=torch.round(n(9)), y=torch.round(n(9)))
    slope("%s(x, y)" % name, f, x=n(6), y=n(2, 6))
PRELU = lambda x, y: torch.where(x > 0, x, y * x)
for a, b in [((3,), ()), ((2, 3), (3,)), ((2, 3), (2, 1)), ((4,), (4,))]:
    case("prelu(x, y)", PRELU, x=n(*a), y=n(*b))

# ---- casts ----
for a, b in [((), ()), ((3,), ()), ((2, 3), (3,)), ((2, 1), (1, 3)), ((0,), (1,)), ((7,), (7,)), ((2, 2, 2), (2, 2))]:
    x, y = n(*a), n(*b)
    case("f32(f64(x) * f64(y))", lambda x, y: x * y, x=x, y=y)
    case("f32(exp(f64(x)) / (1 + f64(y) ^ 2))", lambda x, y: x.exp() / (1 + y ** 2), x=x, y=y)
    case("f32(f64(x)) * sum(f32(f64(y) - 1))", lambda x, y: x * (y - 1).sum(), x=x, y=y)
    case("f32(bool(x)) + y", lambda x, y: x.bool() + y, fixed=("x",), x=torch.round(x), y=y)
    case("where(bool(x) and not bool(y), x, y)", lambda x, y: torch.where(x.bool() & ~y.bool(), x, y), x=torch.round(x), y=torch.round(y))
    case("f32(bool(x > 0) == bool(i32(2 * y))) * y", lambda x, y: ((x > 0) == torch.trunc(2 * y).bool()) * y, x=x, y=y)
    case("f32(u8(abs(x)) * u8(abs(y)))", lambda x, y: torch.trunc(x.abs()) * torch.trunc(y.abs()) % 256, fixed=("x", "y"), x=7 * x, y=20 * y)
    case("f32(u8(abs(x)) - u8(abs(y)))", lambda x, y: (torch.trunc(x.abs()) - torch.trunc(y.abs())) % 256, fixed=("x", "y"), x=7 * x, y=20 * y)
    case("f32(u8(abs(x)) // u8(abs(y)))", lambda x, y: torch.floor(torch.trunc(x.abs()) / torch.trunc(y.abs())), fixed=("x", "y"), x=70 * x, y=y.abs() + 1)
for a, b in [((3,), ()), ((2, 3), (3,)), ((2, 1), (1, 3)), ((0,), (1,)), ((7,), (7,)), ((2, 2, 2), (2, 2)), ((17,), (17,))]:
    x, y = torch.round(n(*a)), torch.round(n(*b))
    case("where(x != y, x, 2 * y)", lambda x, y: torch.where(x != y, x, 2 * y), x=x, y=y)
    case("f32(i32(x) != i32(y)) * x", lambda x, y: (x != y) * x, x=x, y=y)
    case("where(x < y, x, 2 * y) * f32(i32(x) < 1)", lambda x, y: torch.where(x < y, x, 2 * y) * (x < 1), x=x, y=y)
    case("where(x <= y, x, 2 * y) * f32(i32(y) <= 1)", lambda x, y: torch.where(x <= y, x, 2 * y) * (y <= 1), x=x, y=y)
    case("where(x >= y, x, 2 * y) * f32(i32(y) >= 1)", lambda x, y: torch.where(x >= y, x, 2 * y) * (y >= 1), x=x, y=y)
    case("where(not (x < y), exp(x), y)", lambda x, y: torch.where(~(x < y), x.exp(), y), x=x, y=y)
    case("where(x > 0 and y > 0, x * y, x)", lambda x, y: torch.where((x > 0) & (y > 0), x * y, x), x=x, y=y)
    case("where(x == y or i32(x) == 1, x, 2 * y)", lambda x, y: torch.where((x == y) | (x == 1), x, 2 * y), x=x, y=y)
case("f32(bool(x))", lambda x: x.bool().double(), fixed=("x",), x=EDGES)
case("f32(i32(x))", lambda x: torch.trunc(x), fixed=("x",), x=torch.tensor([0.5, -0.5, 1.5, -1.5, 2.75, -2.75, 0.0, -0.0]))

# ---- shapes and indices ----
for shape in [(), (1,), (5,), (2, 3), (3, 1, 2), (0,), (2, 0, 3), (17,), (2, 2, 2, 2), (6, 1)]:
    axes, words = list(range(len(shape))), str(list(shape))
    case("zeros(%s) + x" % words, lambda x: x + 0, x=n(*shape))
    case("x * zeros(%s)" % words, lambda x: x * 0, x=specials if (specials := n(*shape)).numel() < 5 else torch.cat([EDGES[2:5], specials.reshape(-1)[3:]]).reshape(shape))
    case("ones(%s) * x" % words, lambda x: x * 1, x=n(*shape))
    case("ones(%s) / x - ones(%s)" % (words, words), lambda x: 1 / x - 1, x=n(*shape))
    case("x * count(x)", lambda x: x * x.numel(), x=n(*shape))
    case("reshape(x * x, [%d])" % torch.Size(shape).numel(), lambda x: (x * x).reshape(-1), x=n(*shape))
    for a in axes[:2]:
        case("x / size(x, over: %d)" % a, lambda x, a=a: x / x.shape[a] if x.shape[a] else x, x=n(*shape))
        case("x + count(x%s)" % over([a]), lambda x, a=a: x + x.shape[a], x=n(*shape))
        case("size(x, over: %d) * x - size(x, over: -1)" % a, lambda x, a=a: x * x.shape[a] - x.shape[-1], x=n(*shape))
case("x * count(x, over: [0, 2])", lambda x: x * 8, x=n(2, 3, 4))
for shape, to in [((2, 3, 4), [6, 4]), ((2, 3, 4), [2, 12]), ((6,), [2, 3]), ((6,), [1, 6, 1]), ((1, 1), [1]), ((4, 3), [3, 4]), ((0, 3), [3, 0]), ((2, 2, 2, 2), [4, 4]), ((16,), [4, 2, 2])]:
    case("reshape(x, %s)" % to, lambda x, to=to: x.reshape(to), x=n(*shape))
    slope("reshape(exp(x), %s)" % to, lambda x, to=to: x.exp().reshape(to), x=n(*shape))
for shape in [(2, 3), (2, 3, 4), (1, 5), (3, 1, 2), (2, 2, 3, 2)]:
    for a, b in [(0, 1), (0, -1), (-2, -1)]:
        case("transpose(x, %d, %d)" % (a, b), lambda x, a=a, b=b: x.transpose(a, b), x=n(*shape))
        case("exp(transpose(x * x, %d, %d))" % (a, b), lambda x, a=a, b=b: (x * x).transpose(a, b).exp(), x=n(*shape))
for a, b in [((3,), (3,)), ((2,), (5,)), ((1,), (4,)), ((0,), (3,)), ((7,), (7,))]:
    column = "reshape(x, [%d, 1])" % a[0]
    for op, f in {"-": torch.sub, "+": torch.add, "*": torch.mul, "/": torch.div}.items():
        case("outer(%s %s y)" % (column, op), lambda x, y, f=f: f(x[:, None], y), x=n(*a), y=n(*b))
for classes, shape in [(3, (4,)), (1, (2,)), (5, (1,)), (4, (2, 3)), (2, (3, 1, 2)), (6, (0,)), (7, (17,))]:
    k = torch.randint(classes, shape).double()
    one_hot = lambda k, classes=classes: F.one_hot(k.long(), classes)
    case("f32(one_hot(i32(k), over: %d)) * x" % classes, lambda x, k, f=one_hot: f(k) * x, fixed=("k",), x=n(*shape, classes), k=k)
    case("where(one_hot(i32(k), like: x), x, -x * x)", lambda x, k, f=one_hot: torch.where(f(k) > 0, x, -x * x), fixed=("k",), x=n(*shape, classes), k=k)
    case("sum(where(one_hot(i32(k), like: x), x, 0.0), over: -1)", lambda x, k, f=one_hot: (f(k) * x).sum(-1), fixed=("k",), x=n(*shape, classes), k=k)
    case("x[i32(k)] * x[i32(k)]", lambda x, k: x[k.long()] ** 2, fixed=("k",), x=n(classes), k=k)
for name, f in {"argmax": torch.argmax, "argmin": torch.argmin}.items():
    for shape, a in [((7,), 0), ((3, 4), 1), ((3, 4), 0), ((2, 3, 4), 1), ((2, 3, 4), -1), ((1, 5), 0), ((5, 1), 1), ((33,), 0), ((2, 2, 2, 3), 2)]:
        case("f32(%s(x, over: %d))" % (name, a), lambda x, f=f, a=a: f(x, a).double(), fixed=("x",), x=torch.round(2 * n(*shape)))
    for values in ([nan, 1, nan], [1, nan, inf], [inf, inf, 0], [-inf, -inf, -inf], [0.0, -0.0, 0.0], [3, 3, 3]):
        case("f32(%s(x, over: 0))" % name, lambda x, f=f: f(x, 0).double(), fixed=("x",), x=torch.tensor(values, dtype=torch.float64))
    case("x - f32(%s(x, over: 1, keep: true))" % name, lambda x, f=f: x - f(x, 1, keepdim=True), x=n(3, 4))
for k in range(1, 8):
    case("iota(%d) * x" % k, lambda x, k=k: torch.arange(k) * x, x=n(k))

# ---- losses ----
for shape in [(5,), (2, 3), (1,), (4, 1), (2, 1, 3)]:
    x, y = n(*shape), n(*shape)
    p, q = short(torch.sigmoid(x)), short(torch.sigmoid(y))
    sign = torch.where(y > 0, torch.ones(()), -torch.ones(()))
    slope("mse(x, y)", F.mse_loss, x=x, y=y)
    slope("huber(x, y)", F.huber_loss, x=x, y=y)
    case("mse(exp(x), y) * x", lambda x, y: F.mse_loss(x.exp(), y) * x, x=x, y=y)
    case("l1(x, y) * x", lambda x, y: F.l1_loss(x, y) * x, x=x, y=y)
    case("l1(x, y) + l1(x, x)", lambda x, y: F.l1_loss(x, y) + F.l1_loss(x, x), x=torch.round(x), y=torch.round(y))
    case("kl_div(log(x), y)", lambda x, y: F.kl_div(x.log(), y, reduction="mean"), fixed=("y",), x=p, y=torch.where(q > 0.5, q, torch.zeros(())))
    case("kl_div(x, y) * x", lambda x, y: F.kl_div(x, y, reduction="mean") * x, fixed=("y",), x=x, y=q)
    for scale in (1, 4):
        case("poisson_nll(x, y)", F.poisson_nll_loss, fixed=("y",), x=scale * x, y=torch.round(3 * q))
        case("gaussian_nll(x, y, z)", F.gaussian_nll_loss, fixed=("y",), x=scale * x, y=y, z=n(*shape).abs() + 0.125)
        case("soft_margin(x, y)", F.soft_margin_loss, fixed=("y",), x=20 * scale * x, y=sign)
        case("bce(x, y)", F.binary_cross_entropy, fixed=("y",), x=p, y=torch.round(q) if scale == 1 else q)
    case("bce(sigmoid(x), y) * x", lambda x, y: F.binary_cross_entropy(torch.sigmoid(x), y) * x, fixed=("y",), x=x, y=q)
    slope("bce_with_logits(x, y)", F.binary_cross_entropy_with_logits, fixed=("y",), x=x, y=q)
    slope("soft_margin(x, y)", F.soft_margin_loss, fixed=("y",), x=x, y=sign)
    slope("poisson_nll(x, y)", F.poisson_nll_loss, fixed=("y",), x=x, y=torch.round(3 * q))
case("gaussian_nll(x, y, z, eps: 0.5)", lambda x, y, z: F.gaussian_nll_loss(x, y, z, eps=0.5), fixed=("y", "z"), x=n(5), y=n(5), z=torch.tensor([0.0, 0.25, 0.5, 1.0, 2.0]))
case("kl_div(x, y)", lambda x, y: F.kl_div(x, y, reduction="mean"), fixed=("y",), x=torch.tensor([-1.0, -2.0, -0.5, 0.0]), y=torch.tensor([0.0, 0.0, 1.0, 0.5]))
for rows, width in [(1, 3), (4, 2), (3, 6), (2, 3), (5, 5), (2, 17)]:
    x, y = n(rows, width), n(rows, width)
    slope("cosine_similarity(x, y)", lambda x, y: F.cosine_similarity(x, y, -1), x=x, y=y)
    case("cosine_similarity(x * 4, x + y) * y[:, 0]", lambda x, y: F.cosine_similarity(x * 4, x + y, -1) * y[:, 0], x=x, y=y)
case("cosine_similarity(x, y)", lambda x, y: F.cosine_similarity(x, y, -1), fixed=("x", "y"), x=torch.tensor([[0.0, 0.0], [1.0, 0.0], [3.0, 4.0], [-1.0, 0.0]]), y=torch.tensor([[1.0, 2.0], [0.0, 0.0], [3.0, 4.0], [1.0, 0.0]]))
case("triplet_margin(x, y, z)", F.triplet_margin_loss, x=torch.ones(2, 3), y=torch.ones(2, 3), z=2 * torch.ones(2, 3))

# ---- steps of recurrent layers, attention ----
def gru_step(x, g, h):
    r, z = torch.sigmoid(x[0] + g[0]), torch.sigmoid(x[1] + g[1])
    return (1 - z) * torch.tanh(x[2] + r * g[2]) + z * h


def steps(step, x, h):
    out = []
    for k in range(x.shape[1]):
        h = step(x[:, k], h)
        out.append(h)
    return torch.stack(out, 1)


for b, s, h in [(1, 1, 1), (2, 3, 4), (3, 2, 1), (1, 5, 2), (2, 1, 3), (4, 4, 2), (1, 7, 1), (2, 2, 2), (3, 3, 3), (1, 2, 6)]:
    thirds = lambda v, h=h: [v[:, :h], v[:, h:2 * h], v[:, 2 * h:]]
    case("gru_step(x, y, z)", gru_step, x=n(3, b, h), y=n(3, b, h), z=n(b, h))
    case("gru_step(2 * x, y * x, z * z)", lambda x, y, z: gru_step(2 * x, y * x, z * z), x=n(3, b, h), y=n(3, b, h), z=n(b, h))
    case("rnn_steps(x, w, y, tanh)", lambda x, w, y: steps(lambda x, h: torch.tanh(x + h @ w.t()), x, y), x=n(b, s, h), w=n(h, h), y=n(b, h))
    case("rnn_steps(x, w, y, relu)", lambda x, w, y: steps(lambda x, h: torch.relu(x + h @ w.t()), x, y), x=n(b, s, h), w=n(h, h), y=n(b, h))
    case("gru_steps(x, w, z, y)", lambda x, w, z, y: steps(lambda x, h: gru_step(thirds(x), thirds(h @ w.t() + z), h), x, y), x=n(b, s, 3 * h), w=n(3 * h, h), z=n(3 * h), y=n(b, h))
    case("gru_steps(x, w, 0.0, y)", lambda x, w, y: steps(lambda x, h: gru_step(thirds(x), thirds(h @ w.t()), h), x, y), x=n(b, s, 3 * h), w=n(3 * h, h), y=n(b, h))
for places, width, base in [(1, 2, 10000), (4, 2, 10000), (3, 4, 10), (5, 6, 100), (2, 8, 7.5), (7, 4, 10000)]:
    def turned(x, base=base, width=width):
        angle = torch.outer(torch.arange(x.shape[-2]).double(), base ** (-torch.arange(width // 2) * 2 / width)).to(x.dtype)
        a, b = x[..., :width // 2], x[..., width // 2:]
        return torch.cat([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1)
    case("rotary_embedding(x, base: %s)" % float(base), turned, x=n(places, width))
    case("exp(rotary_embedding(x, base: %s))" % float(base), lambda x, f=turned: f(x).exp(), x=n(2, places, width))

print(save("functions.json"), "cases, PyTorch", torch.__version__)
