#!/usr/bin/python3
"""Make layers.json: layers over several steps of training, as PyTorch computes them in float64.

    apt install python3-torch && /usr/bin/python3 tests/pytorch/layers.py

Each case is one layer of the standard file on batches of [rows, *shape]:
    {"layer": as a model writes it, "shape": without the batch, "start": {name: values},
     "body": what is done with the layer where that is more than x |> l: LAYER, "out": the shape of that,
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


def case(expression, layer, shape, rows, ones=False, scale=1, body=None, use=None):
    """`use` does in PyTorch what `body` does in the model; rows: of the batch of each step."""
    use = use or layer
    out = list(use(torch.zeros(2, *shape)).shape[1:]) if body else shape
    with torch.no_grad():
        for p in layer.parameters():
            p.copy_(scale * short(torch.randn(p.shape)))
    start, steps = held(layer), []
    for n in rows:
        x, u, v = (short(torch.randn(n, *s)) for s in (shape, out, shape))
        u = scale * u  # where steps are small, errors stay small
        if ones:
            x = torch.ones(n, *shape)  # no variance at all
        x = (2 * x + 0.5).requires_grad_()
        layer.train()
        layer.zero_grad()
        loss = (use(x) * u).sum()
        loss.backward()
        with torch.no_grad():
            for p in layer.parameters():
                p -= 0.1 * p.grad
        steps.append({"x": numbers(x), "u": numbers(u), "v": numbers(v), "loss": loss.item(), "gx": (x.grad * v).sum().item(), "after": held(layer)})
    x = short(torch.randn(3, *shape))
    layer.eval()
    more = {"body": body, "out": out} if body else {}
    cases.append(json.dumps({"layer": expression, "shape": shape, **more, "start": start, "steps": steps, "asked": {"x": numbers(x), "y": numbers(use(x))}}, separators=(",", ":")))


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
    def __init__(self, width, heads, causal=False, bias=True):
        super().__init__(width, heads, batch_first=True, bias=bias)
        self.causal = causal

    def forward(self, x):
        mask = torch.ones(x.shape[1], x.shape[1]).tril() == 0 if self.causal else None
        return super().forward(x, x, x, attn_mask=mask, need_weights=self.causal)[0]


for rows in ((4,), (4, 2), (3, 1)):
    for time, width, heads in ((1, 2, 1), (3, 4, 2), (5, 6, 3), (4, 4, 4)):
        case("MultiheadAttention(%d)" % heads, MultiheadAttention(width, heads), [time, width], rows, scale=0.25)
        case("MultiheadAttention(%d, causal: true)" % heads, MultiheadAttention(width, heads, causal=True), [time, width], rows, scale=0.25)
case("MultiheadAttention(2, bias: false)", MultiheadAttention(4, 2, bias=False), [3, 4], (4, 2), scale=0.25)
case("MultiheadAttention(2, causal: true, bias: false)", MultiheadAttention(4, 2, causal=True, bias=False), [3, 4], (4, 2), scale=0.25)

# Recurrent layers: outputs and last states in one value; states given, cut from x.
RECURRENT = [("RNN", N.RNN, {}, ""), ("RNN", N.RNN, {"nonlinearity": "relu"}, ", nonlinearity: relu"), ("RNN", N.RNN, {"bias": False}, ", bias: false"),
             ("LSTMStates", N.LSTM, {}, ""), ("LSTMStates", N.LSTM, {"bias": False}, ", bias: false"), ("GRU", N.GRU, {}, ""), ("GRU", N.GRU, {"bias": False}, ", bias: false")]
for name, make, options, words in RECURRENT:
    pair = make == N.LSTM
    for steps, width, hidden in [(1, 1, 1), (2, 3, 4), (5, 4, 3), (7, 1, 2), (12, 2, 3), (3, 9, 8)] if not options else [(2, 3, 1), (4, 2, 2)]:
        layer = make(width, hidden, batch_first=True, **options)
        expression = "%s(%d%s)" % (name, hidden, words)
        body = "let l = " + expression + "\n  let " + ("y, h, c = l(%s)\n  return (y + h.[n, w -> n, 1, w] * 0.5 + c.[n, w -> n, 1, w] * 0.25) * one" if pair
                                                        else "y = l(%s)\n  return (y + y[:, -1:] * 0.5) * one")

        def outputs(x, layer=layer, given=None, pair=pair):
            y, last = layer(x, given)
            h, c = last if pair else (last, None)
            return y + 0.5 * h[0][:, None] + (0.25 * c[0][:, None] if pair else 0)

        case(expression, layer, [steps, width], (4, 1), use=outputs, body=body % "x")
        if width >= hidden and steps > 1:
            def from_x(x, layer=layer, pair=pair, hidden=hidden, outputs=outputs):
                h, c = x[:, 0, :hidden][None].contiguous(), x[:, 1, :hidden][None].contiguous()
                return outputs(x, layer, (h, c) if pair else h)

            given = "x, x[:, 0, :%d]" % hidden + (", x[:, 1, :%d]" % hidden if pair else "")
            case(expression, layer, [steps, width], (4, 2), use=from_x, body=body % given)
CELLS = [("RNNCell", N.RNNCell, {}, ""), ("RNNCell", N.RNNCell, {"nonlinearity": "relu", "bias": False}, ", bias: false, nonlinearity: relu"), ("LSTMCell", N.LSTMCell, {}, ""),
         ("LSTMCell", N.LSTMCell, {"bias": False}, ", bias: false"), ("GRUCell", N.GRUCell, {}, ""), ("GRUCell", N.GRUCell, {"bias": False}, ", bias: false")]
for name, make, options, words in CELLS:
    for width, hidden in [(1, 1), (3, 4), (4, 3), (2, 9)] if not options else [(3, 2)]:
        layer, pair = make(width, hidden, **options), name == "LSTMCell"

        def twice(x, layer=layer, pair=pair):
            first = layer(x)
            return sum(layer(2 * x, first)) if pair else layer(2 * x, first)

        case("%s(%d%s)" % (name, hidden, words), layer, [width], (4, 1), use=twice,
             body="let l = %s(%d%s)\n  " % (name, hidden, words) +
             ("let h, c = l(x)\n  let h2, c2 = l(2 * x, h, c)\n  return (h2 + c2) * one" if pair else "return l(2 * x, l(x)) * one"))


class Attention(N.Linear):  # PyTorch has the function from 2.0 on; a row that sees nothing is zeros since 2.5
    def __init__(self, width, seen, bias, scale=None):
        super().__init__(width, 3 * width)
        self.seen, self.added, self.scale = seen, bias, width ** -0.5 if scale is None else scale

    def forward(self, x):
        q, k, v = super().forward(x).chunk(3, -1)
        scores = q @ k.transpose(-1, -2) * self.scale + self.added
        seen = self.seen(x).expand(scores.shape)
        none = ~seen.any(-1, keepdim=True)
        return torch.where(none, 0.0, torch.softmax(torch.where(seen | none, scores, -torch.inf), -1)) @ v


class Turned(N.Linear):
    """Rotary positions, each pair of features turned by a matrix, as RoFormer and Llama have them; then a layer."""
    def __init__(self, width, base=10000, interleaved=False):
        super().__init__(width, width)
        self.base, self.interleaved = base, interleaved

    def forward(self, x):
        half = x.shape[-1] // 2
        turn = torch.outer(torch.arange(x.shape[-2]).double(), self.base ** (-torch.arange(half) / half))
        turns = torch.stack([turn.cos(), -turn.sin(), turn.sin(), turn.cos()], -1).unflatten(-1, (2, 2))
        pairs = x.unflatten(-1, (half, 2)) if self.interleaved else x.unflatten(-1, (2, half)).transpose(-1, -2)
        y = (turns @ pairs.unsqueeze(-1)).squeeze(-1)
        return super().forward((y if self.interleaved else y.transpose(-1, -2)).flatten(-2))


def everything(x):
    return torch.tensor(True)


def past(x):
    return torch.ones(x.shape[-2], x.shape[-2]).tril() > 0


def some_rows(x):
    return x[..., :1] > 0.5


def some_columns(x):
    return x[..., 0].unsqueeze(-2) > -0.5


ROWS, COLUMNS = ", mask: x[:, :, :1] > 0.5", ", mask: x[:, :, 0].[n, s -> n, 1, s] > -0.5"
LOOKS = [("", everything), (", causal: true", past), (ROWS, some_rows), (COLUMNS, some_columns),
         (", causal: true" + COLUMNS, lambda x: past(x) & some_columns(x)), (", causal: true" + ROWS, lambda x: past(x) & some_rows(x))]
for places, width in ((1, 1), (3, 2), (5, 4), (2, 7)):
    for words, seen in LOOKS:
        for slope in (0, 0.5):
            case("Linear(%d)" % (3 * width), Attention(width, seen, slope * torch.arange(places)), [places, width], (4, 2), scale=0.25,
                 body="let q, k, v = (x |> l: Linear(%d)).[n, s, (3 e) -> 3, n, s, e]\n  return scaled_dot_product_attention(q, k, v%s%s) * one"
                 % (3 * width, words, ", bias: 0.5 * iota(%d)" % places if slope else ""))
for places, width in ((1, 2), (3, 2), (5, 6), (2, 8), (9, 4)):
    for words, options in [("", {}), (", base: 7.5", {"base": 7.5}), (", interleaved: true", {"interleaved": True})]:
        case("Linear(%d)" % width, Turned(width, **options), [places, width], (4, 1), scale=0.25,
             body="return (rotary_embedding(x%s) |> l: Linear(%d)) * one" % (words, width))


class Grouped(torch.nn.Module):
    """Heads of q in groups that share k and v, all of one linear layer; q and k turned by their places."""

    def __init__(self, groups, each, width, causal):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros((groups * each + 2 * groups) * width, width))
        self.bias = torch.nn.Parameter(torch.zeros(self.weight.shape[0]))
        self.groups, self.each, self.width, self.causal = groups, each, width, causal

    def turned(self, x):
        half = self.width // 2
        angle = torch.outer(torch.arange(x.shape[-2]).double(), 10000.0 ** (-torch.arange(half) / half))
        a, b = x[..., :half], x[..., half:]
        return torch.cat([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1)

    def forward(self, x):
        z = torch.nn.functional.linear(x, self.weight, self.bias).unflatten(-1, (-1, self.width)).transpose(1, 2)
        q, k, v = z.split([self.groups * self.each, self.groups, self.groups], 1)
        k, v = (y.repeat_interleave(self.each, 1) for y in (self.turned(k), v))
        scores = self.turned(q) @ k.transpose(-1, -2) / self.width ** 0.5
        if self.causal:
            scores = scores.masked_fill(~past(x), -torch.inf)
        return (scores.softmax(-1) @ v).transpose(1, 2).flatten(-2)


SHARED = """let z = (x |> l: Linear({all} * {e})).[n, s, ({all} e) -> n, {all}, s, e]
  let q = rotary_embedding(z[:, :{heads}])
  let k = rotary_embedding(z[:, {heads}:{heads} + {g}])
  let v = z[:, {heads} + {g}:]
"""
SPELLINGS = {
    "enable_gqa": """  return scaled_dot_product_attention(q, k, v, causal: {causal}, enable_gqa: true).[n, h, s, e -> n, s, (h e)] * one""",
    "@": """  let scores = q.[n, ({g} {r}), s, e -> n, {g}, {r}, s, e] @ t(k.[n, g, s, e -> n, g, 1, s, e]) / sqrt({e})
  let p = softmax({mask}(scores), over: -1)
  return (p @ v.[n, g, s, e -> n, g, 1, s, e]).[n, g, r, s, e -> n, s, (g r e)] * one""",
    "einsum": """  let scores = einsum("ngrse,ngte->ngrst", q.[n, ({g} {r}), s, e -> n, {g}, {r}, s, e], k) / sqrt({e})
  return einsum("ngrst,ngte->nsgre", softmax({mask}(scores), over: -1), v).[n, s, g, r, e -> n, s, (g r e)] * one""",
}
for (groups, each, width), causal in (((2, 2, 4), True), ((1, 3, 2), True), ((2, 3, 2), False)):
    for spelling in SPELLINGS.values():
        heads = groups * each
        words = dict(all=heads + 2 * groups, e=width, heads=heads, g=groups, r=each, causal=str(causal).lower(), mask="causal" if causal else "")
        case("Linear(%d)" % (words["all"] * width), Grouped(groups, each, width, causal), [5, width], (4, 2), scale=0.25,
             body=(SHARED + spelling).format(**words))
for words, seen in LOOKS[:3]:
    for scale in (0.125, 0):
        case("Linear(12)", Attention(4, seen, 0.0, scale), [5, 4], (4, 2), scale=0.25,
             body="let q, k, v = (x |> l: Linear(12)).[n, s, (3 e) -> 3, n, s, e]\n  return scaled_dot_product_attention(q, k, v%s, scale: %s) * one" % (words, scale))

with open(os.path.join(here, "layers.json"), "w") as file:
    file.write("[\n" + ",\n".join(cases) + "\n]\n")
print(len(cases), "cases, PyTorch", torch.__version__)
