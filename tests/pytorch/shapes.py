#!/usr/bin/python3
"""Make shapes.json: values joined, cut, masked and indexed, as make.py makes ops.json.

    apt install python3-torch && /usr/bin/python3 tests/pytorch/shapes.py
"""
import torch
import torch.nn.functional as F

from cases import case, inf, n, nan, over, save, start

start(12)


def twice(expr, f, **inputs):
    """The case, and the slope in x of the sum of its cubes: what is differentiated again."""
    case(expr, f, **inputs)
    case("grad(sum((%s) ^ 3), x)" % expr, lambda *v: torch.autograd.grad((f(*v) ** 3).sum(), v[0], create_graph=True)[0], **inputs)


SPECIAL = torch.tensor([[0.0, -0.0, 1.0], [inf, -inf, nan]])
for a, b, d in [((3,), (2,), 0), ((2, 3), (2, 1), 1), ((2, 3), (4, 3), 0), ((1, 2, 2), (1, 3, 2), 1), ((2, 2, 1), (2, 2, 5), 2), ((0,), (3,), 0), ((2, 3), (2, 0), 1),
                ((0, 2), (0, 2), 0), ((2, 1, 3), (2, 4, 3), -2), ((17, 2), (16, 2), 0), ((0, 3), (0, 1), 1)]:
    over_d = ", over: %d" % d
    twice("concat(x, y%s)" % over_d, lambda x, y, d=d: torch.cat([x, y], d), x=n(*a), y=n(*b))
    case("concat(y, x, x, y%s)" % over_d, lambda x, y, d=d: torch.cat([y, x, x, y], d), x=n(*a), y=n(*b))
    case("tanh(concat([x * x, exp(y)]%s)) * concat(sin(x), y%s)" % (over_d, over_d), lambda x, y, d=d: torch.tanh(torch.cat([x * x, y.exp()], d)) * torch.cat([x.sin(), y], d), x=n(*a), y=n(*b))
    case("sum(concat(x, 2 * y%s)%s)" % (over_d, over_d), lambda x, y, d=d: torch.cat([x, 2 * y], d).sum(d), x=n(*a), y=n(*b))
for d in (0, 1):  # one over them tells the zeros apart
    case("concat(x, y, over: %d)" % d, lambda x, y, d=d: torch.cat([x, y], d), x=SPECIAL, y=n(2, 3))
    case("1 / concat(x, y, over: %d)" % d, lambda x, y, d=d: 1 / torch.cat([x, y], d), x=n(2, 3), y=SPECIAL)
    case("1 / stack(x, y, over: %d)" % d, lambda x, y, d=d: 1 / torch.stack([x, y], d), x=SPECIAL, y=-SPECIAL)
    case("1 / flip(x, over: %d)" % d, lambda x, d=d: 1 / x.flip(d), x=SPECIAL)
case("x @ concat(y, z, over: 1)", lambda x, y, z: x @ torch.cat([y, z], 1), x=n(4, 3), y=n(3, 2), z=n(3, 5))
case("concat(x @ y, z, over: -1) @ t(concat(z, x @ y, over: -1))", lambda x, y, z: torch.cat([x @ y, z], -1) @ torch.cat([z, x @ y], -1).t(), x=n(4, 3), y=n(3, 2), z=n(4, 5))
case("f32(concat(i32(x), i32(y), over: 0))", lambda x, y: torch.cat([x, y]), fixed=("x", "y"), x=torch.tensor([1.0, 2.0]), y=torch.tensor([-3.0]))
case("f32(concat(x > 0, y > 0, over: 0))", lambda x, y: torch.cat([x > 0, y > 0]).double(), fixed=("x", "y"), x=n(3), y=n(2))
case("concat(i32(x), y, over: 0)", lambda x, y: torch.cat([x, y]), fixed=("x",), x=torch.tensor([1.0, 2.0]), y=n(3))
for shape, axes in [((), (0,)), ((3,), (0, 1, -1)), ((2, 3), (0, 1, 2)), ((2, 1, 2), (0, 3, -2)), ((0, 2), (0, 2)), ((17,), (0, 1))]:
    for d in axes:
        twice("stack(x, y, over: %d)" % d, lambda x, y, d=d: torch.stack([x, y], d), x=n(*shape), y=n(*shape))
    case("stack(x, y, x * y)", lambda x, y: torch.stack([x, y, x * y]), x=n(*shape), y=n(*shape))
for shape, d, parts in [((6,), 0, 3), ((2, 6), 1, 2), ((4, 3), 0, 4), ((2, 4, 3), 1, 2), ((2, 3, 5), -1, 1), ((2, 0), 1, 2), ((32,), 0, 2)]:
    chunk = max(1, shape[d] // parts)
    case("concat(split(x, %d, over: %d)[0], split(x, %d, over: %d)[-1] * 3, over: %d)" % (parts, d, parts, d, d),
         lambda x, d=d, parts=parts: torch.cat([x.tensor_split(parts, d)[0], x.tensor_split(parts, d)[-1] * 3], d), x=n(*shape))
    twice("stack(split(x, %d, over: %d))" % (parts, d), lambda x, d=d, parts=parts: torch.stack(x.tensor_split(parts, d)), x=n(*shape))
for shape, d, parts in [((6,), 0, [1, 2, 3]), ((2, 5), 1, [4, 1]), ((5, 2), 0, [0, 5]), ((2, 4, 3), 1, [1, 1, 2]), ((2, 3), -1, [3])]:
    expr = "split(x, %s, over: %d)" % (parts, d)
    for i in range(len(parts)):
        case("exp(%s[%d])" % (expr, i), lambda x, d=d, parts=parts, i=i: torch.exp(x.split(parts, d)[i]), x=n(*shape))
    case("concat(%s[-1], %s[0], over: %d)" % (expr, expr, d), lambda x, d=d, parts=parts: torch.cat([x.split(parts, d)[-1], x.split(parts, d)[0]], d), x=n(*shape))
for shape, d, before, after in [((3,), 0, 1, 1), ((2, 3), 1, 0, 2), ((2, 3), 0, 2, 0), ((2, 1, 2), 1, 1, 3), ((0, 2), 0, 2, 1), ((2, 3), 1, 0, 0), ((30,), 0, 1, 2)]:
    widths = [0, 0] * (len(shape) - 1 - d) + [before, after]
    for value in (0, 2.5, -1):
        more = ", value: %s" % value if value else ""
        twice("pad(x, %d, %d, over: %d%s)" % (before, after, d, more), lambda x, w=widths, value=value: F.pad(x, w, value=value), x=n(*shape))
case("1 / pad(x, 1, over: [0, 1])", lambda x: 1 / F.pad(x, [1, 1, 1, 1]), x=SPECIAL)
case("pad(x, 1, 2, over: [0, 1], value: y)", lambda x, y: torch.where(F.pad(torch.ones_like(x), [1, 2, 1, 2]) > 0, F.pad(x, [1, 2, 1, 2]), y), x=n(2, 3), y=n())
case("exp(pad(x, 1, over: [0, 2]))", lambda x: torch.exp(F.pad(x, [1, 1, 0, 0, 1, 1])), x=n(2, 3, 2))
for mode in ("reflect", "replicate", "circular"):
    torch_mode = lambda x, w, mode=mode: F.pad(x.reshape((1, 1) + x.shape), w, mode=mode).reshape([s + w[2 * (x.dim() - 1 - i)] + w[2 * (x.dim() - 1 - i) + 1] for i, s in enumerate(x.shape)])
    for shape, before, after in [((3,), 1, 1), ((4,), 3, 0), ((5,), 0, 2), ((2,), 1, 1), ((33,), 7, 20)]:
        twice('pad(x, %d, %d, over: 0, mode: "%s")' % (before, after, mode), lambda x, w=(before, after), f=torch_mode: f(x, w), x=n(*shape))
    for shape, before, after in [((3, 4), 2, 1), ((2, 3), 1, 0), ((17, 5), 3, 4)]:
        twice('pad(x, %d, %d, over: [0, 1], mode: "%s")' % (before, after, mode), lambda x, w=(before, after) * 2, f=torch_mode: f(x, w), x=n(*shape))
        case('pad(x, %d, %d, over: 1, mode: "%s") ^ 2' % (before, after, mode), lambda x, w=(before, after, 0, 0), f=torch_mode: f(x, w) ** 2, x=n(*shape))
    case('pad(x, 1, over: [0, 2], mode: "%s")' % mode, lambda x, f=torch_mode: f(x, (1, 1, 0, 0, 1, 1)), x=n(2, 3, 2))
    case('1 / pad(x, 1, over: [0, 1], mode: "%s")' % mode, lambda x, f=torch_mode: 1 / f(x, (1, 1, 1, 1)), x=SPECIAL)
for shape, axis, by in [((5,), 0, 1), ((5,), 0, -2), ((2, 3), 1, 2), ((2, 3), 0, 1), ((2, 3), 1, 7), ((2, 3), 1, -3), ((1, 4), 0, 1), ((0, 3), 1, 1), ((0, 3), 0, 2), ((2, 3, 4), -1, 3), ((33,), 0, 16)]:
    twice("roll(x, %d, over: %d)" % (by, axis), lambda x, by=by, axis=axis: x.roll(by, axis), x=n(*shape))
    case("x * roll(exp(x), %d, over: %d)" % (by, axis), lambda x, by=by, axis=axis: x * x.exp().roll(by, axis), x=n(*shape))
case("1 / roll(x, 1, over: 1)", lambda x: 1 / x.roll(1, 1), x=SPECIAL)
for shape, axes in [((5,), [0]), ((2, 3), [0]), ((2, 3), [1]), ((2, 3), [0, 1]), ((2, 1, 4), [2]), ((2, 3, 4), [0, 2]), ((1, 1), [0, 1]), ((0, 3), [1]), ((0, 3), [0]), ((33,), [0])]:
    twice("flip(x%s)" % over(axes), lambda x, axes=axes: x.flip(axes), x=n(*shape))
    case("x * flip(exp(x)%s)" % over(axes), lambda x, axes=axes: x * x.exp().flip(axes), x=n(*shape))
    case("flip(flip(x%s) + x%s)" % (over(axes), over(axes)), lambda x, axes=axes: (x.flip(axes) + x).flip(axes), x=n(*shape))
case("flip(x[1:], over: 0)[1:] * flip(x, over: 0)[:2]", lambda x: x[1:].flip(0)[1:] * x.flip(0)[:2], x=n(4, 3))
case("flip(pad(x, 1, 2, over: 1), over: 1)[:, 2:5]", lambda x: F.pad(x, [1, 2]).flip(1)[:, 2:5], x=n(4, 3))
case("flip(x, over: 0) @ flip(y, over: [0, 1])", lambda x, y: x.flip(0) @ y.flip([0, 1]), x=n(4, 3), y=n(3, 5))
for shape in [(3, 3), (2, 4), (4, 2), (1, 3), (3, 1), (2, 3, 3), (2, 2, 3, 4), (0, 3), (3, 0), (17, 5)]:
    case("exp(causal(x))", lambda x: x.masked_fill(torch.ones(x.shape[-2:]).tril() == 0, -inf).exp(), x=n(*shape))
    twice("tril(x)", torch.tril, x=n(*shape))
    twice("triu(x)", torch.triu, x=n(*shape))
    for k in (1, -1, 2):
        case("tril(x, diagonal: %d)" % k, lambda x, k=k: torch.tril(x, k), x=n(*shape))
        case("triu(x, diagonal: %d)" % k, lambda x, k=k: torch.triu(x, k), x=n(*shape))
    if shape[-1]:
        case("softmax(causal(x), over: -1)", lambda x: F.softmax(x.masked_fill(torch.ones(x.shape[-2:]).tril() == 0, -inf), -1), x=n(*shape))
case("tril(x)", torch.tril, x=torch.tensor([[-0.0, nan, inf], [nan, -inf, 1.0], [inf, nan, -0.0]]))
case("1 / triu(x)", lambda x: 1 / torch.triu(x), x=torch.tensor([[-0.0, 1.0, inf], [2.0, -inf, 1.0], [inf, 3.0, -0.0]]))
case("causal(x)", lambda x: x.masked_fill(torch.ones(3, 3).tril() == 0, -inf), x=torch.tensor([[-0.0, nan, inf], [nan, -inf, 1.0], [inf, nan, -0.0]]))

for a, b in [((2, 1, 3, 4), (5, 4, 2)), ((3, 4), (2, 4, 5)), ((2, 3, 4), (1, 4, 5)), ((1, 2, 4), (3, 2, 4, 1)), ((2, 3, 1, 2, 4), (2, 1, 4, 4, 3)), ((1, 2, 3), (0, 3, 2))]:
    twice("x @ y", torch.matmul, x=n(*a), y=n(*b))
    case("sum(sin(x @ y)) + mean(y)", lambda x, y: (x @ y).sin().sum() + y.mean(), x=n(*a), y=n(*b))
for shape, r in [((2, 3, 4), 2), ((1, 2, 1), 3), ((3, 1, 2), 1), ((2, 2, 3, 2), 2), ((2, 1, 5, 1), 4), ((0, 2, 3), 2), ((2, 1, 2, 2, 3), 2)]:
    repeated = lambda x, r=r: x.repeat_interleave(r, -3)
    twice("repeat_heads(x, %d)" % r, repeated, x=n(*shape))
    case("cumsum(repeat_heads(x, %d), over: -3)" % r, lambda x, f=repeated: f(x).cumsum(-3), x=n(*shape))
print(save("shapes.json"), "cases, PyTorch", torch.__version__)
