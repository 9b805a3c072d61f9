# nn.mt: the standard layers, activations and losses, written in the language itself.
#
# Layouts are PyTorch's: Linear weights are (out, in).  Where a formula has a
# branch that could overflow, its argument is clamped first, so that gradients
# of the branch not taken stay finite.

# ---- activations ----
fn leaky_relu(x, slope = 0.01) = where(x > 0, x, slope * x)
fn elu(x, alpha = 1.0) = where(x > 0, x, alpha * expm1(clamp(x, max: 0)))
fn gelu(x) = 0.5 * x * (1 + erf(x * 0.7071067811865476))
fn gelu_tanh(x) = 0.5 * x * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)))
fn silu(x) = x * sigmoid(x)
fn softplus(x) = maximum(x, 0) + log1p(exp(-abs(x)))

# ---- losses: means over all elements, as in PyTorch ----
fn mse(x, y) = {
  let e = x - y
  mean(e * e)
}
fn l1(x, y) = mean(abs(x - y))
fn smooth_l1(x, y, beta = 1.0) = {
  let e = abs(x - y)
  mean(where(e < beta, 0.5 * e * e / beta, e - 0.5 * beta))
}
# bce: logs stop at -100 and the slope's denominator at 1e-12 (as a float), so that sure answers stay finite.
fn bce(x, y) = {
  let a = stop(clamp(log(x), min: -100))
  let b = stop(clamp(log(1 - x), min: -100))
  let slope = stop((x - y) / clamp(x * (1 - x), min: 9.999999960041972e-13))
  mean(-(y * a + (1 - y) * b) + slope * (x - stop(x)))
}
fn bce_with_logits(x, y) = mean(maximum(x, 0) - x * y + log1p(exp(-abs(x))))

# Scores x: [B, K] against classes y: [B].  The mean is over the weights of the rows kept.
fn cross_entropy(x, y, weight = 1.0, smoothing = 0.0, ignore = -100) = {
  let logp = log_softmax(x, over: -1)
  let hit = one_hot(y, like: x, ignore: ignore)
  let kept = y != ignore
  let nll = where(kept, -sum(where(hit, weight * logp, 0.0), over: -1), 0.0)
  let norm = sum(where(kept, sum(where(hit, weight, 0.0), over: -1), 0.0))
  if smoothing == 0.0 {
    sum(nll) / norm
  } else {
    let smooth = where(kept, -sum(weight * logp, over: -1), 0.0)
    ((1 - smoothing) * sum(nll) + smoothing / size(x, over: -1) * sum(smooth)) / norm
  }
}

# ---- layers ----
module Linear(o: dim, bias: bool = true)(x: [*s, i]) -> [*s, o] {
  param weight: [o, i] = kaiming(fan: i)
  if bias {
    param bias: [o] = kaiming(fan: i)
    return x @ t(weight) + bias
  } else {
    return x @ t(weight)
  }
}

module LayerNorm(eps: float = 1e-5)(x: [*s, d]) -> [*s, d] {
  param weight: [d] = ones
  param bias: [d] = zeros
  let m = mean(x, over: -1, keep: true)
  let c = x - m
  let v = mean(c * c, over: -1, keep: true)
  return c * rsqrt(v + eps) * weight + bias
}

module Dropout(p: float = 0.5)(x: [*s]) -> [*s] {
  return dropout(x, p)
}
