#!/usr/bin/python3
"""Make axes.json: sums of products by letters, running sums and products, elements by index, as make.py makes ops.json.

    apt install python3-torch && /usr/bin/python3 tests/pytorch/axes.py
"""
import math

import torch
import torch.nn.functional as F

from cases import case, inf, n, nan, save, short, start

start(14)


def twice(expr, f, **inputs):
    """The case, and the slope in x of the sum of its cubes: what is differentiated again."""
    fixed = inputs.pop("fixed", ())
    case(expr, f, fixed=fixed, **inputs)
    case("grad(sum((%s) ^ 3), x)" % expr, lambda *v: torch.autograd.grad((f(*v) ** 3).sum(), v[0], create_graph=True)[0], fixed=fixed, **inputs)


# ---- einsum ----
EINSUMS = [("ij,jk->ik", (3, 4), (4, 2)), ("ij,kj->ik", (3, 4), (2, 4)), ("ij,kj->ki", (3, 4), (2, 4)), ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)),
           ("bij,bkj->bik", (2, 3, 4), (2, 5, 4)), ("bhqd,bhkd->bhqk", (2, 3, 4, 5), (2, 3, 6, 5)), ("bhqk,bhkd->bqhd", (2, 3, 4, 6), (2, 3, 6, 5)),
           ("i,j->ij", (3,), (4,)), ("i,i->", (5,), (5,)), ("i,i->i", (5,), (5,)), ("ij,ij->i", (3, 4), (3, 4)), ("ij,j->i", (3, 4), (4,)), ("ij,j->ij", (3, 4), (4,)),
           ("bn,anm,bm->ba", (2, 3), (5, 3, 4), (2, 4)), ("ij,jk,kl->il", (2, 3), (3, 4), (4, 5)), ("i,j,k->kij", (2,), (3,), (4,)),
           ("...ij,...jk->...ik", (2, 3, 4), (2, 4, 5)), ("...ij,...jk->...ik", (3, 4), (2, 4, 5)), ("...i,...i->...", (2, 3, 4), (3, 4)), ("...i,i", (2, 3, 4), (4,)),
           ("b...d,bd->b...", (2, 3, 4, 5), (2, 5)), ("ij,jk", (3, 4), (4, 2)), ("ba,ca", (3, 4), (2, 4)), ("ij,ij", (3, 4), (3, 4)), ("i j , j k -> i k", (3, 4), (4, 2)),
           ("ijk,il->jkl", (2, 3, 4), (2, 5)), ("ijkl,lk->ij", (2, 3, 4, 5), (5, 4)), ("ijkl,jimn->klmn", (2, 3, 4, 5), (3, 2, 2, 3)), ("ij,kl->", (2, 3), (4, 5)),
           ("ij,kl->jk", (2, 3), (4, 5)), ("bij,kj->bki", (2, 3, 4), (5, 4)), ("ij,jk->ik", (3, 1), (4, 2)), ("ij,jk->ik", (3, 4), (1, 2)), ("ij,ij->ij", (3, 1), (1, 4)),
           ("ij,jk->ik", (0, 4), (4, 2)), ("ij,jk->ik", (3, 0), (0, 2)), ("i,->i", (3,), ()), ("ij,jk->ik", (17, 33), (33, 9)), ("Ab,bC->AC", (2, 3), (3, 4)),
           ("iij,jk->ik", (3, 3, 4), (4, 2)), ("iji,i->j", (3, 2, 3), (3,)), ("abc,abd,abe->cde", (2, 2, 3), (2, 2, 2), (2, 2, 4))]
for equation, *shapes in EINSUMS:
    names = "xyz"[:len(shapes)]
    twice('einsum("%s", %s)' % (equation, ", ".join(names)), lambda *v, e=equation: torch.einsum(e, *v), **{k: n(*s) for k, s in zip(names, shapes)})
for equation, shape in [("ij->ji", (3, 4)), ("ij->i", (3, 4)), ("ij->", (3, 4)), ("ij", (3, 4)), ("ji", (3, 4)), ("ii->i", (4, 4)), ("ii", (4, 4)), ("bii->bi", (2, 3, 3)), ("iii->i", (3, 3, 3)),
                        ("iij->ij", (3, 3, 2)), ("ijij->ij", (2, 3, 2, 3)), ("ijji->", (2, 3, 3, 2)), ("...ii->...i", (2, 3, 3)), ("...->...", (2, 3)), ("a...->...a", (2, 3, 4)), ("cab", (2, 3, 4)),
                        ("ii->i", (1, 1)), ("ii->i", (0, 0)), ("->", ())]:
    twice('einsum("%s", x)' % equation, lambda x, e=equation: torch.einsum(e, x), x=n(*shape))
case('einsum("ij,jk->ik", x, y)', lambda x, y: torch.einsum("ij,jk->ik", x, y), x=torch.tensor([[inf, 1.0], [nan, -0.0], [0.0, 2.0]]), y=n(2, 2))
case('1 / einsum("ij->ji", x)', lambda x: 1 / x.t(), x=torch.tensor([[-0.0, 1.0], [0.0, 2.0]]))
case('softmax(einsum("bqd,bkd->bqk", x, y) / 2, over: -1)', lambda x, y: torch.softmax(torch.einsum("bqd,bkd->bqk", x, y) / 2, -1), x=n(2, 3, 4), y=n(2, 5, 4))
case('einsum("ij,kj->ik", tanh(x), y * y)', lambda x, y: torch.einsum("ij,kj->ik", x.tanh(), y * y), x=n(3, 4), y=n(2, 4))

# ---- running sums and products, products ----
SPECIAL = torch.tensor([[2.0, 0.0, -1.0, 3.0], [inf, 1.0, -inf, 2.0], [0.0, 0.0, 5.0, nan], [-0.0, 1.0, 2.0, 0.0]])
for shape, axes in [((1,), (0,)), ((2,), (0,)), ((5,), (0,)), ((8,), (0,)), ((33,), (0,)), ((2, 3), (0, 1)), ((3, 1, 4), (0, 1, -1)), ((0, 3), (0, 1)), ((2, 9), (1,))]:
    for d in axes:
        twice("cumsum(x, over: %d)" % d, lambda x, d=d: x.cumsum(d), x=n(*shape))
        twice("cumprod(x, over: %d)" % d, lambda x, d=d: x.cumprod(d), x=n(*shape) / 2)
        case("cumsum(x * exp(x), over: %d) - x" % d, lambda x, d=d: (x * x.exp()).cumsum(d) - x, x=n(*shape))
        twice("prod(x, over: %d)" % d, lambda x, d=d: x.prod(d), x=n(*shape))
        case("x / prod(x, over: %d, keep: true)" % d, lambda x, d=d: x / x.prod(d, keepdim=True), x=n(*shape))
    case("prod(x)", lambda x: x.prod(), x=n(*shape))
case("prod(x, over: [0, 2])", lambda x: x.prod(2).prod(0), x=n(3, 2, 5))
case("prod(x, over: [1, 2], keep: true) * x", lambda x: x.prod(2, keepdim=True).prod(1, keepdim=True) * x, x=n(3, 2, 2))
case("prod(x)", lambda x: x.prod(), x=n())
for zeros in [(0,), (2,), (0, 3), (1, 2, 3)]:
    x = n(4)
    x[list(zeros)] = 0
    twice("prod(x)", lambda x: x.prod(), x=x)
    twice("cumprod(x, over: 0)", lambda x: x.cumprod(0), x=x)
for d in (0, 1):
    case("cumsum(x, over: %d)" % d, lambda x, d=d: x.cumsum(d), fixed=("x",), x=SPECIAL)
    case("cumprod(x, over: %d)" % d, lambda x, d=d: x.cumprod(d), fixed=("x",), x=SPECIAL)
    case("prod(x, over: %d)" % d, lambda x, d=d: x.prod(d), fixed=("x",), x=SPECIAL)
case("1 / cumsum(x, over: 0)", lambda x: 1 / x.cumsum(0), fixed=("x",), x=torch.tensor([-0.0, -0.0, 0.0, 1.0]))
case("f32(cumsum(i32(x), over: 0))", lambda x: x.cumsum(0), fixed=("x",), x=torch.tensor([1.0, -2.0, 3.0, 4.0]))
case("f32(cumsum(x > 0, over: 0))", lambda x: (x > 0).cumsum(0).double(), fixed=("x",), x=n(7))
case("f32(prod(i32(x)))", lambda x: x.prod(), fixed=("x",), x=torch.tensor([1.0, -2.0, 3.0]))

case("cumsum(x, over: 3)", lambda x: x.cumsum(3), x=n(1, 2, 1, 5, 2, 1, 2))
for shape, d in [((64,), 0), ((65,), 0), ((2, 130), 1), ((70, 3), 0), ((2, 129, 2), 1)]:
    twice("cumsum(x, over: %d)" % d, lambda x, d=d: x.cumsum(d), x=n(*shape))
case("cumsum(x * cos(f32(iota(5000))), over: 0)[4900:]", lambda x: (x * torch.arange(5000.0).double().cos()).cumsum(0)[4900:], x=n(1))

# ---- any and all ----
MASKS = [torch.tensor([[0.0, 0.0, 1.0], [0.0, -0.0, 0.0], [1.0, nan, 2.0]]), torch.zeros(2, 3), torch.ones(1, 2), torch.zeros(0, 3), torch.zeros(3, 0), n(5, 4)]
for x in MASKS:
    for name, f in [("any", torch.any), ("all", torch.all)]:
        for d in (0, 1):
            case("f32(%s(x, over: %d))" % (name, d), lambda x, f=f, d=d: f(x, d).double(), fixed=("x",), x=x)
        case("f32(%s(x > 0))" % name, lambda x, f=f: f(x > 0).double(), fixed=("x",), x=x)
        case("f32(%s(x != 0, over: 1, keep: true)) * x" % name, lambda x, f=f: f(x != 0, 1, keepdim=True).double() * x, fixed=("x",), x=x)

# ---- elements by index ----
for shape, d, k in [((4,), 0, 6), ((2, 3), 0, 3), ((2, 3), 1, 4), ((3, 5), 1, 1), ((2, 3, 4), 1, 2), ((2, 3, 4), -1, 5), ((2, 3, 4), 0, 3), ((1, 1), 1, 3), ((3, 2), 1, 0), ((33, 17), 1, 9)]:
    want = list(shape)
    want[d] = k
    ids = torch.randint(0, shape[d], want)
    twice("gather(x, i32(i), over: %d)" % d, lambda x, i, d=d: x.gather(d, i.long()), fixed=("i",), x=n(*shape), i=ids)
    case("gather(exp(x), i32(i), over: %d) * 2" % d, lambda x, i, d=d: x.exp().gather(d, i.long()) * 2, fixed=("i",), x=n(*shape), i=ids)
    twice("scatter_add(x, i32(i), y, over: %d)" % d, lambda x, i, y, d=d: x.scatter_add(d, i.long(), y), fixed=("i",), x=n(*shape), i=ids, y=n(*want))
    case("tanh(scatter_add(0 * x, i32(i), sin(y), over: %d))" % d, lambda x, i, y, d=d: torch.zeros_like(x).scatter_add(d, i.long(), y.sin()).tanh(), fixed=("i", "x"), x=n(*shape), i=ids, y=n(*want))
case("gather(x, i32(i), over: 0)", lambda x, i: x.gather(0, i.long()), fixed=("i",), x=torch.tensor([nan, -0.0, inf]), i=torch.tensor([1, 2, 0, 1]))
for shape, d, k in [((2, 3), 1, (4,)), ((2, 3), 1, ()), ((2, 3, 4), 1, (2, 2)), ((2, 3, 4), 2, (5,)), ((2, 3, 4), 1, (0,)), ((5, 2), 0, (3,)), ((17, 9), 1, (33,))]:
    ids, where = torch.randint(0, shape[d], k), ":, " * d + "i32(i)"
    twice("x[%s]" % where, lambda x, i, d=d: x.index_select(d, i.long().reshape(-1)).reshape(x.shape[:d] + i.shape + x.shape[d + 1:]), fixed=("i",), x=n(*shape), i=ids)
for shape, d, k in [((5,), 0, 2), ((5,), 0, 5), ((2, 3), 1, 1), ((3, 2), 0, 3), ((2, 4, 3), 1, 2), ((1, 1), 0, 1), ((40,), 0, 7)]:
    for name, part in [("values", 0), ("indices", 1)]:
        if part == 0:
            twice("topk(x, %d, over: %d)[0]" % (k, d), lambda x, d=d, k=k: x.topk(k, d)[0], x=n(*shape))
        else:
            case("f32(topk(x, %d, over: %d)[1])" % (k, d), lambda x, d=d, k=k: x.topk(k, d)[1].double(), fixed=("x",), x=torch.randperm(max(1, torch.tensor(shape).prod().item())).reshape(shape))
case("topk(x, 3, over: 0)[0]", lambda x: x.topk(3, 0)[0], fixed=("x",), x=torch.tensor([1.0, nan, inf, -inf]))
case("f32(topk(x, 4, over: 0)[1])", lambda x: torch.tensor([1.0, 2.0, 0.0, 3.0]), fixed=("x",), x=torch.tensor([1.0, nan, inf, -inf]))
case("f32(topk(x, 3, over: 0)[1])", lambda x: torch.tensor([2.0, 0.0, 1.0]), fixed=("x",), x=torch.tensor([-inf, -inf, 1.0]))
case("f32(topk(x, 3, over: 0)[1])", lambda x: torch.tensor([0.0, 2.0, 3.0]), fixed=("x",), x=torch.tensor([7.0, 5.0, 7.0, 7.0]))

# ---- of nn.mt ----
for shape in [(4,), (2, 6), (3, 2, 8), (0, 2)]:
    twice("glu(x)", lambda x: F.glu(x, -1), x=n(*shape))
for shape in [(3, 4), (1, 2), (2, 1), (17, 5)]:
    y = torch.randint(0, shape[1], shape[:1])
    case("multi_margin(x, i32(y))", lambda x, y: F.multi_margin_loss(x, y.long()), fixed=("y",), x=n(*shape), y=y)
    case("multi_margin(x, i32(y), margin: 0.5)", lambda x, y: F.multi_margin_loss(x, y.long(), margin=0.5), fixed=("y",), x=n(*shape), y=y)
    case("multilabel_soft_margin(x, y)", lambda x, y: F.multilabel_soft_margin_loss(x, y), fixed=("y",), x=n(*shape), y=torch.randint(0, 2, shape))
    case("pairwise_distance(x, y)", lambda x, y: F.pairwise_distance(x, y), x=n(*shape), y=n(*shape))
def ctc(x, targets, inputs, labels, blank=0, **options):
    """From scores x [B, T, K], so that PyTorch's slope, which is that of the softmax too, is that of the loss."""
    more = "".join(", %s: %s" % (k, str(v).lower()) for k, v in options.items()) + (", blank: %d" % blank if blank else "")
    f = lambda x, y, m, k: F.ctc_loss(x.log_softmax(-1).transpose(0, 1), y.long(), m.long(), k.long(), blank=blank, **options)
    values = dict(x=x, y=torch.tensor(targets), m=torch.tensor(inputs), k=torch.tensor(labels))
    fits = math.isfinite(f(*values.values()).item()) or options
    case("ctc(log_softmax(x, over: -1), i32(y), i32(m), i32(k)%s)" % more, f, fixed=("y", "m", "k") if fits else ("x", "y", "m", "k"), **values)


for targets, inputs, labels in [([[1]], [1], [1]), ([[1, 2]], [3], [2]), ([[1, 2]], [2], [2]), ([[1, 1]], [3], [2]), ([[1, 1]], [2], [2]), ([[1, 1, 1]], [6], [3]), ([[2, 1]], [4], [0]), ([[2, 1]], [4], [1]),
                                ([[1, 2], [2, 2]], [5, 4], [2, 2]), ([[1, 2], [2, 2]], [5, 3], [1, 2]), ([[1, 2], [2, 2]], [5, 3], [0, 2]), ([[3, 1, 2], [2, 2, 3], [1, 3, 1]], [6, 6, 6], [3, 2, 1]),
                                ([[3, 1, 2], [2, 2, 3], [1, 3, 1]], [3, 4, 6], [3, 3, 3]), ([[1, 2], [2, 2]], [2, 2], [2, 2]), ([[1, 2, 3, 1]], [9], [4])]:
    ctc(n(len(inputs), max(inputs), 4), targets, inputs, labels)
    ctc(4 * n(len(inputs), max(inputs) + 2, 5), [[v - 1 for v in row] for row in targets], inputs, labels, blank=4)
    if inputs == [2, 2] or inputs == [2] and targets == [[1, 1]]:
        ctc(n(len(inputs), max(inputs), 4), targets, inputs, labels, zero_infinity=True)
ctc(100 * n(2, 6, 4), [[1, 2], [3, 3]], [6, 5], [2, 2])
for shape, r in [((1, 4, 2, 3), 2), ((2, 9, 1, 1), 3), ((2, 3, 2, 2), 1)]:
    twice("pixel_shuffle(x, %d)" % r, lambda x, r=r: F.pixel_shuffle(x, r), x=n(*shape))
    twice("upsample_nearest(x, %d)" % r, lambda x, r=r: F.interpolate(x, scale_factor=r, mode="nearest"), x=n(*shape))

# ---- the edges of reductions and losses: ties, zeros, nothing, NaN and infinity ----
TIES = torch.tensor([[1.0, 1.0, 0.0, -1.0], [0.0, 0.0, 0.0, 0.0], [3.0, 3.0, 3.0, 3.0], [-2.0, -2.0, 5.0, 5.0]])
BEYOND = torch.tensor([[inf, 1.0, 2.0, 2.0], [nan, 1.0, 0.0, 2.0], [-inf, -inf, -inf, -inf], [-inf, 0.0, inf, 1.0], [0.0, nan, inf, -inf]])
REDUCTIONS = [("max", torch.amax), ("min", torch.amin), ("prod", torch.prod), ("norm", lambda x, d: x.norm(dim=d)), ("logsumexp", torch.logsumexp),
              ("var", torch.var), ("std", torch.std)]
for name, f in REDUCTIONS:
    for d in (0, 1):
        case("%s(x, over: %d)" % (name, d), lambda x, f=f, d=d: f(x, d), x=TIES)
        case("%s(x, over: %d)" % (name, d), lambda x, f=f, d=d: f(x, d), fixed=("x",), x=BEYOND)
    case("%s(x, over: 0)" % name, lambda x, f=f: f(x, 0), x=torch.zeros(3, 0))
    if name not in ("max", "min"):
        case("%s(x, over: 1)" % name, lambda x, f=f: f(x, 1), fixed=("x",), x=torch.zeros(2, 0))
    twice("%s(x, over: 1)" % name, lambda x, f=f: f(x, 1), x=n(3, 4))
case("var(x, over: 1)", lambda x: x.var(1), fixed=("x",), x=n(3, 1))
case("std(x, over: 1, unbiased: false)", lambda x: x.std(1, unbiased=False), x=TIES + n(4, 4))
for shape in [(3,), (2, 4), (0, 3), (2, 3, 2)]:
    y = torch.rand(shape)
    case("kl_div(x, y)", lambda x, y: F.kl_div(x, y), fixed=("y",), x=n(*shape).log_softmax(-1), y=short(y))
    case("kl_div(x, y)", lambda x, y: F.kl_div(x, y), fixed=("y",), x=n(*shape), y=short(torch.where(y > 0.5, y, torch.zeros_like(y))))
    case("cosine_similarity(x, y)", lambda x, y: F.cosine_similarity(x, y, -1), x=n(*shape), y=n(*shape))
    # Where eps counts, PyTorch's slope is not that of its value (the bound is applied outside of autograd).
    case("cosine_similarity(x, y, eps: 0.5)", lambda x, y: F.cosine_similarity(x, y, -1, eps=0.5), fixed=("x", "y"), x=n(*shape) / 4, y=n(*shape) / 2)
case("kl_div(x, y)", lambda x, y: F.kl_div(x, y), fixed=("x", "y"), x=torch.tensor([-inf, -1.0]), y=torch.tensor([0.5, 0.5]))
case("kl_div(x, y)", lambda x, y: F.kl_div(x, y), fixed=("x", "y"), x=torch.tensor([-inf, -1.0]), y=torch.tensor([0.0, 1.0]))
case("kl_div(x, y)", lambda x, y: F.kl_div(x, y), fixed=("x", "y"), x=torch.tensor([nan, -1.0]), y=torch.tensor([0.25, 0.75]))
case("cosine_similarity(x, y)", lambda x, y: F.cosine_similarity(x, y, -1), fixed=("x", "y"), x=BEYOND, y=n(5, 4))
case("cosine_similarity(x, y)", lambda x, y: F.cosine_similarity(x, y, -1), fixed=("x", "y"), x=torch.zeros(2, 3), y=n(2, 3))
PAIRS = [("huber(x, y)", F.huber_loss), ("mse(x, y)", F.mse_loss), ("l1(x, y)", F.l1_loss), ("pairwise_distance(x, y)", F.pairwise_distance),
         ("multilabel_soft_margin(x, y)", F.multilabel_soft_margin_loss), ("soft_margin(x, y)", F.soft_margin_loss)]
for expr, f in PAIRS:
    for x, y in [(TIES, TIES.flip(0)), (TIES, TIES), (100 * TIES, (TIES > 0).double()), (torch.zeros(3, 2), torch.ones(3, 2)), (n(1, 1), n(1, 1))]:
        case(expr, lambda x, y, f=f: f(x, y), fixed=("y",), x=x, y=y)
    case(expr, lambda x, y, f=f: f(x, y), fixed=("x", "y"), x=BEYOND, y=n(5, 4))
    case(expr, lambda x, y, f=f: f(x, y), fixed=("x", "y"), x=torch.zeros(0, 3), y=torch.zeros(0, 3))
for x in [TIES, torch.zeros(3, 4), 100 * n(2, 4), BEYOND]:
    y = torch.randint(0, 4, x.shape[:1])
    for expr, f in [("multi_margin(x, i32(y))", F.multi_margin_loss), ("nll(x, i32(y))", F.nll_loss)]:
        for labels in (y, torch.zeros_like(y), torch.full_like(y, 3)):
            case(expr, lambda x, y, f=f: f(x, y.long()), fixed=("x", "y") if x is BEYOND else ("y",), x=x, y=labels)
for x in [TIES, 50 * TIES, torch.zeros(1, 2)]:
    twice("glu(x)", lambda x: F.glu(x, -1), x=x)
case("glu(x)", lambda x: F.glu(x, -1), fixed=("x",), x=BEYOND)
for shape, r in [((1, 8, 1, 3), 2), ((1, 1, 3, 1), 1), ((2, 16, 1, 1), 4)]:
    twice("pixel_shuffle(x, %d)" % r, lambda x, r=r: F.pixel_shuffle(x, r), x=n(*shape))
    twice("upsample_nearest(x, %d)" % r, lambda x, r=r: F.interpolate(x, scale_factor=r, mode="nearest"), x=n(*shape))
case("upsample_nearest(x, 2)", lambda x: F.interpolate(x, scale_factor=2, mode="nearest"), fixed=("x",), x=BEYOND.reshape(1, 1, 5, 4))
case("pixel_shuffle(x, 2)", lambda x: F.pixel_shuffle(x, 2), fixed=("x",), x=BEYOND.reshape(1, 4, 5, 1))

# Twenty of each.
for shape in ((2,), (6,), (1, 4), (3, 8)):
    twice("glu(x)", lambda x: F.glu(x, -1), x=n(*shape) * 3)
for shape in ((1,), (5,), (1, 1), (2, 2), (3, 1), (1, 6), (2, 3, 2), (4, 2), (2, 1, 5)):
    case("pairwise_distance(x, y)", F.pairwise_distance, x=n(*shape) * 2, y=n(*shape))
    case("multilabel_soft_margin(x, y)", F.multilabel_soft_margin_loss, fixed=("y",), x=n(*shape) * 3, y=torch.randint(0, 2, shape))
    case("log_add(x, y, z)", lambda x, y, z: torch.logsumexp(torch.stack([x, y, z]), 0), x=n(*shape) * 20, y=n(*shape), z=n(*shape))
    twice("log_add(x, y, y)", lambda x, y: torch.logsumexp(torch.stack([x, y, y]), 0), x=n(*shape), y=n(*shape))
LOW = torch.tensor([-inf, -inf, 1.0, -inf, nan])
case("log_add(x, y, z)", lambda x, y, z: torch.logsumexp(torch.stack([x, y, z]), 0), fixed=("x", "y", "z"), x=LOW, y=torch.tensor([-inf, 0.0, -inf, -800.0, 1.0]), z=torch.tensor([-inf, -inf, 800.0, -801.0, 1.0]))
for r, shape in ((1, (2, 3, 2, 2)), (3, (2, 9, 1, 2)), (2, (1, 8, 2, 1)), (4, (1, 16, 1, 1))):
    twice("pixel_shuffle(x, %d)" % r, lambda x, r=r: F.pixel_shuffle(x, r), x=n(*shape))
    twice("upsample_nearest(x, %d)" % r, lambda x, r=r: F.interpolate(x, scale_factor=r, mode="nearest"), x=n(*shape))

print(save("axes.json"), "cases, PyTorch", torch.__version__)
