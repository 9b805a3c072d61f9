# nn.mt: the standard layers, activations and losses, written in the language itself.
#
# Layouts are PyTorch's: Linear weights are (out, in).  Where a formula has a
# branch that could overflow, its argument is clamped first, so that gradients
# of the branch not taken stay finite.

# ---- activations ----
fn leaky_relu(x, slope = 0.01) = where(x > 0, x, slope * x)
fn elu(x, alpha = 1.0) = where(x <= 0, alpha * expm1(clamp(x, max: 0)), x)
fn gelu(x) = 0.5 * x * (1 + erf(x * 0.7071067811865476))
fn gelu_tanh(x) = x * sigmoid(1.5957691216057308 * (x + 0.044715 * x * x * x))
fn silu(x) = x * sigmoid(x)
fn softplus(x) = maximum(x, 0) + log1p(exp(-abs(x)))
fn mish(x) = x * tanh(softplus(x))
fn logsigmoid(x) = minimum(x, 0) - log1p(exp(-abs(x)))
fn softsign(x) = x / (1 + abs(x))
fn celu(x, alpha = 1.0) = where(x <= 0, alpha * expm1(clamp(x, max: 0) / alpha), x)
fn selu(x) = 1.0507009873554805 * elu(x, alpha: 1.6732632423543772)
fn prelu(x, slope) = where(x > 0, x, slope * x)
fn threshold(x, threshold, value) = where(x <= threshold, value, x)

# Flat at their bounds, where clamp has slope 1.
fn hardtanh(x, min = -1.0, max = 1.0) = where(x <= min, min, where(x >= max, max, x))
fn relu6(x) = hardtanh(x, min: 0.0, max: 6.0)
fn hardsigmoid(x) = relu6(x + 3) / 6
fn hardswish(x) = {
  let c = hardtanh(x, min: -3.0, max: 3.0)
  where(x >= 3, x, c * (c + 3) / 6)
}
fn tanhshrink(x) = x - tanh(x)
fn softshrink(x, lambda = 0.5) = where(x > lambda, x - lambda, where(x < -lambda, x + lambda, 0 * x))
fn hardshrink(x, lambda = 0.5) = where(abs(x) > lambda, x, 0 * x)

# ---- losses: means over all elements, as in PyTorch ----
fn mse(x, y) = {
  let e = x - y
  mean(e * e)
}
fn l1(x, y) = mean(abs(x - y))
fn smooth_l1(x, y, beta = 1.0) = {
  let e = abs(x - y)
  mean(if beta == 0.0 { e } else { where(e < beta, 0.5 * e * e / beta, e - 0.5 * beta) })
}
fn huber(x, y, delta = 1.0) = {
  let e = abs(x - y)
  mean(where(e <= delta, 0.5 * e * e, delta * (e - 0.5 * delta)))
}
# x: log-probabilities, y: probabilities; 0 log 0 is 0.  A mean over all elements: times their number a row, PyTorch's "batchmean".
fn kl_div(x, y) = mean(where(y > 0, y * (log(where(y > 0, y, 1.0)) - x), 0 * x))
fn poisson_nll(x, y) = mean(exp(x) - y * x)
fn gaussian_nll(x, y, variance, eps = 1e-6) = {
  let v = stop(maximum(variance, eps)) + (variance - stop(variance))  # below eps the gradient goes on
  let e = x - y
  mean(0.5 * (log(v) + e * e / v))
}
# Classes are 1 and -1.
fn soft_margin(x, y) = mean(softplus(-y * x))
fn hinge_embedding(x, y, margin = 1.0) = mean(where(y == 1, x, clamp(margin - x, min: 0)))
fn margin_ranking(x1, x2, y, margin = 0.0) = mean(clamp(-y * (x1 - x2) + margin, min: 0))
# Along the last axis.
fn cosine_similarity(x, y, eps = 1e-8) = {
  let xx = maximum(sum(x * x, over: -1), eps * eps)
  let yy = maximum(sum(y * y, over: -1), eps * eps)
  sum(x * y, over: -1) / (sqrt(xx) * sqrt(yy))
}
fn cosine_embedding(x1, x2, y, margin = 0.0) = {
  let xx = sum(x1 * x1, over: -1) + 1e-12
  let yy = sum(x2 * x2, over: -1) + 1e-12
  let c = sum(x1 * x2, over: -1) / sqrt(xx * yy)
  mean(where(y == 1, 1 - c, clamp(c - margin, min: 0)))
}
fn triplet_margin(anchor, positive, negative, margin = 1.0, eps = 1e-6) = {
  let near = norm(anchor - positive + eps, over: -1)
  let far = norm(anchor - negative + eps, over: -1)
  mean(clamp(near - far + margin, min: 0))
}
# bce: logs stop at -100 and the slope's denominator at 1e-12 (as a float), so that sure answers stay finite.
fn bce(x, y) = {
  let a = stop(clamp(log(x), min: -100))
  let b = stop(clamp(log(1 - x), min: -100))
  let slope = stop((x - y) / clamp(x * (1 - x), min: 9.999999960041972e-13))
  mean(-(y * a + (1 - y) * b) + slope * (x - stop(x)))
}
fn bce_with_logits(x, y) = mean(maximum(x, 0) - x * y + log1p(exp(-abs(x))))

# Log-probabilities logp: [B, K] against classes y: [B].  The mean is over the weights of the rows kept.
fn nll(logp, y, weight = 1.0, ignore = -100) = {
  let hit = one_hot(y, like: logp, ignore: ignore)
  let kept = y != ignore
  let rows = where(kept, -sum(where(hit, weight * logp, 0.0), over: -1), 0.0)
  sum(rows) / sum(where(kept, sum(where(hit, weight, 0.0), over: -1), 0.0))
}
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

# ---- convolutions: weights [out, in / groups, h, w], transposed [in, out / groups, h, w], as in PyTorch ----
# A size, stride, padding or dilation is one number, or one an axis: [3, 5]; padding may be "same".
module Conv1d(o: dim, kernel: int, stride = 1, padding = 0, dilation = 1, groups: int = 1,
    bias: bool = true)(x: [*s, c, w]) -> [*s, o, *t] {
  param weight: [o, c // groups, kernel] = kaiming(fan: c // groups * kernel)
  if bias {
    param bias: [o] = kaiming(fan: c // groups * kernel)
    return conv1d(x, weight, bias, stride: stride, padding: padding, dilation: dilation,
        groups: groups)
  } else {
    return conv1d(x, weight, stride: stride, padding: padding, dilation: dilation, groups: groups)
  }
}

module Conv2d(o: dim, kernel, stride = 1, padding = 0, dilation = 1, groups: int = 1,
    bias: bool = true)(x: [*s, c, h, w]) -> [*s, o, *t] {
  let kh, kw = pair(kernel)
  param weight: [o, c // groups, kh, kw] = kaiming(fan: c // groups * kh * kw)
  if bias {
    param bias: [o] = kaiming(fan: c // groups * kh * kw)
    return conv2d(x, weight, bias, stride: stride, padding: padding, dilation: dilation,
        groups: groups)
  } else {
    return conv2d(x, weight, stride: stride, padding: padding, dilation: dilation, groups: groups)
  }
}

module ConvTranspose1d(o: dim, kernel: int, stride = 1, padding = 0, output_padding = 0,
    groups: int = 1, bias: bool = true, dilation = 1)(x: [*s, c, w]) -> [*s, o, *t] {
  param weight: [c, o // groups, kernel] = kaiming(fan: o // groups * kernel)
  if bias {
    param bias: [o] = kaiming(fan: o // groups * kernel)
    return conv_transpose1d(x, weight, bias, stride: stride, padding: padding,
        output_padding: output_padding, dilation: dilation, groups: groups)
  } else {
    return conv_transpose1d(x, weight, stride: stride, padding: padding,
        output_padding: output_padding, dilation: dilation, groups: groups)
  }
}

module ConvTranspose2d(o: dim, kernel, stride = 1, padding = 0, output_padding = 0,
    groups: int = 1, bias: bool = true, dilation = 1)(x: [*s, c, h, w]) -> [*s, o, *t] {
  let kh, kw = pair(kernel)
  param weight: [c, o // groups, kh, kw] = kaiming(fan: o // groups * kh * kw)
  if bias {
    param bias: [o] = kaiming(fan: o // groups * kh * kw)
    return conv_transpose2d(x, weight, bias, stride: stride, padding: padding,
        output_padding: output_padding, dilation: dilation, groups: groups)
  } else {
    return conv_transpose2d(x, weight, stride: stride, padding: padding,
        output_padding: output_padding, dilation: dilation, groups: groups)
  }
}

# ---- pools: a stride of "kernel" sets window beside window ----
module MaxPool1d(kernel, stride = "kernel", padding = 0, dilation = 1,
    ceil_mode: bool = false)(x: [*s, c, w]) -> [*s, c, *t] {
  return max_pool1d(x, kernel, stride: stride, padding: padding, dilation: dilation,
      ceil_mode: ceil_mode)
}
module MaxPool2d(kernel, stride = "kernel", padding = 0, dilation = 1,
    ceil_mode: bool = false)(x: [*s, c, h, w]) -> [*s, c, *t] {
  return max_pool2d(x, kernel, stride: stride, padding: padding, dilation: dilation,
      ceil_mode: ceil_mode)
}
module AvgPool1d(kernel, stride = "kernel", padding = 0, ceil_mode: bool = false,
    count_include_pad: bool = true)(x: [*s, c, w]) -> [*s, c, *t] {
  return avg_pool1d(x, kernel, stride: stride, padding: padding, ceil_mode: ceil_mode,
      count_include_pad: count_include_pad)
}
module AvgPool2d(kernel, stride = "kernel", padding = 0, ceil_mode: bool = false,
    count_include_pad: bool = true)(x: [*s, c, h, w]) -> [*s, c, *t] {
  return avg_pool2d(x, kernel, stride: stride, padding: padding, ceil_mode: ceil_mode,
      count_include_pad: count_include_pad)
}
module AdaptiveAvgPool1d(size)(x: [*s, c, w]) -> [*s, c, *t] {
  return adaptive_avg_pool1d(x, size)
}
module AdaptiveAvgPool2d(size)(x: [*s, c, h, w]) -> [*s, c, *t] {
  return adaptive_avg_pool2d(x, size)
}
module AdaptiveMaxPool1d(size)(x: [*s, c, w]) -> [*s, c, *t] {
  return adaptive_max_pool1d(x, size)
}
module AdaptiveMaxPool2d(size)(x: [*s, c, h, w]) -> [*s, c, *t] {
  return adaptive_max_pool2d(x, size)
}

# ---- normalization: PyTorch's layers of the same names ----
# Over all but axis f, whatever axes follow it: BatchNorm1d, 2d and 3d.  The biased variance normalizes, the unbiased
# one is kept (0 where a short last batch has one value a channel); eval and predict use what was kept.
module BatchNorm(eps: float = 1e-5, momentum: float = 0.1, affine: bool = true)(x: [n, f, *s]) -> [n, f, *s] {
  state running_mean: [f] = zeros
  state running_var: [f] = ones
  state num_batches_tracked: [] = zeros
  let m = if training { mean(x, over: [n, *s]) } else { running_mean }
  let v = if training { var(x, over: [n, *s], unbiased: false) } else { running_var }
  if training {
    let N = count(x, over: [n, *s])
    running_mean <- (1 - momentum) * running_mean + momentum * m
    running_var <- (1 - momentum) * running_var + momentum * v * (N / maximum(N - 1, 1))
    num_batches_tracked <- num_batches_tracked + 1
  }
  let y = (x - m) * rsqrt(v + eps)
  if affine {
    param weight: [f] = ones
    param bias: [f] = zeros
    return y * weight + bias
  } else {
    return y
  }
}

# Each row by itself, over `groups` parts of the axis f and all axes behind it.
module GroupNorm(groups: dim, eps: float = 1e-5, affine: bool = true)(x: [n, f, *s]) -> [n, f, *s] {
  let g = x.[n, (groups c), *s -> n, groups, c, *s]
  let d = g - mean(g, over: [2, *s], keep: true)
  let y = reshape(d * rsqrt(mean(d * d, over: [2, *s], keep: true) + eps), [n, f, *s])
  if affine {
    param weight: [f] = ones
    param bias: [f] = zeros
    return y * weight + bias
  } else {
    return y
  }
}

# Each row and channel by itself.
module InstanceNorm(eps: float = 1e-5, affine: bool = false)(x: [n, f, *s]) -> [n, f, *s] {
  let c = x - mean(x, over: [*s], keep: true)
  let y = c * rsqrt(mean(c * c, over: [*s], keep: true) + eps)
  if affine {
    param weight: [f] = ones
    param bias: [f] = zeros
    return y * weight + bias
  } else {
    return y
  }
}

# No mean is taken off; eps is that of a float by default.
module RMSNorm(eps: float = 1.1920928955078125e-07)(x: [*s, d]) -> [*s, d] {
  param weight: [d] = ones
  return x * rsqrt(mean(x * x, over: -1, keep: true) + eps) * weight
}

# ---- tables: a row of weight a number ----
module Embedding(v: dim, d: dim)(ids: i32[*s]) -> [*s, d] {
  param weight: [v, d] = normal(1.0)
  return weight[ids]
}

# ---- recurrent cells and layers: batch first, with PyTorch's parameters and order of gates ----
# A layer begins with states of zeros, or takes them as further inputs, and gives its outputs at all times; the last of
# them, y[:, -1], is its last state.  What x contributes is one product for all times, before the loop.
module LSTMStep()(gates: [b, g], c: [b, h]) -> ([b, h], [b, h]) {
  let i, f, z, o = gates.[b, (4 h) -> 4, b, h]
  let next = sigmoid(f) * c + sigmoid(i) * tanh(z)
  return sigmoid(o) * tanh(next), next
}
# Gates r, z, n, of the input and of the state.
fn gru_step(x, gates, h) = {
  let r = sigmoid(x[0] + gates[0])
  let z = sigmoid(x[1] + gates[1])
  let n = tanh(x[2] + r * gates[2])
  (1 - z) * n + z * h
}

module RNNCell(hidden: dim, bias: bool = true, nonlinearity = tanh)(x: [b, d],
    h: [b, hidden] = 0) -> [b, hidden] {
  param weight_ih: [hidden, d] = kaiming(fan: hidden)
  param weight_hh: [hidden, hidden] = kaiming(fan: hidden)
  let sum = x @ t(weight_ih) + h @ t(weight_hh)
  if bias {
    param bias_ih: [hidden] = kaiming(fan: hidden)
    param bias_hh: [hidden] = kaiming(fan: hidden)
    return nonlinearity(sum + (bias_ih + bias_hh))
  } else {
    return nonlinearity(sum)
  }
}

module LSTMCell(hidden: dim, bias: bool = true)(x: [b, d], h: [b, hidden] = 0,
    c: [b, hidden] = 0) -> ([b, hidden], [b, hidden]) {
  param weight_ih: [4 * hidden, d] = kaiming(fan: hidden)
  param weight_hh: [4 * hidden, hidden] = kaiming(fan: hidden)
  let step = LSTMStep()
  let gates = x @ t(weight_ih) + h @ t(weight_hh)
  if bias {
    param bias_ih: [4 * hidden] = kaiming(fan: hidden)
    param bias_hh: [4 * hidden] = kaiming(fan: hidden)
    return step(gates + (bias_ih + bias_hh), c)
  } else {
    return step(gates, c)
  }
}

module GRUCell(hidden: dim, bias: bool = true)(x: [b, d],
    h: [b, hidden] = 0) -> [b, hidden] {
  param weight_ih: [3 * hidden, d] = kaiming(fan: hidden)
  param weight_hh: [3 * hidden, hidden] = kaiming(fan: hidden)
  let from_x = x @ t(weight_ih)
  let from_h = h @ t(weight_hh)
  if bias {
    param bias_ih: [3 * hidden] = kaiming(fan: hidden)
    param bias_hh: [3 * hidden] = kaiming(fan: hidden)
    return gru_step((from_x + bias_ih).[b, (3 hidden) -> 3, b, hidden],
        (from_h + bias_hh).[b, (3 hidden) -> 3, b, hidden], h)
  } else {
    return gru_step(from_x.[b, (3 hidden) -> 3, b, hidden],
        from_h.[b, (3 hidden) -> 3, b, hidden], h)
  }
}

fn rnn_steps(from_x, weight, h, nonlinearity) = {
  let s = size(from_x, over: 1)
  for k in 0..s carry h collect y {
    h = nonlinearity(from_x[:, k] + h @ t(weight))
    y = h
  }
  transpose(y, 0, 1)
}
module LSTMSteps()(from_x: [b, s, g], weight: [g, h], state: [b, h],
    c: [b, h]) -> ([b, s, h], [b, h], [b, h]) {
  let step = LSTMStep()
  for k in 0..s carry state, c collect y {
    state, c = step(from_x[:, k] + state @ t(weight), c)
    y = state
  }
  return y.[s, b, h -> b, s, h], state, c
}
fn gru_steps(from_x, weight, bias, h) = {
  let s = size(from_x, over: 1)
  for k in 0..s carry h collect y {
    let from_h = h @ t(weight) + bias
    h = gru_step(from_x[:, k].[b, (3 h) -> 3, b, h], from_h.[b, (3 h) -> 3, b, h], h)
    y = h
  }
  transpose(y, 0, 1)
}

module RNN(hidden: dim, bias: bool = true, nonlinearity = tanh)(x: [b, s, d],
    h: [b, hidden] = 0) -> [b, s, hidden] {
  param weight_ih_l0: [hidden, d] = kaiming(fan: hidden)
  param weight_hh_l0: [hidden, hidden] = kaiming(fan: hidden)
  let from_x = x @ t(weight_ih_l0)
  if bias {
    param bias_ih_l0: [hidden] = kaiming(fan: hidden)
    param bias_hh_l0: [hidden] = kaiming(fan: hidden)
    return rnn_steps(from_x + (bias_ih_l0 + bias_hh_l0), weight_hh_l0, h, nonlinearity)
  } else {
    return rnn_steps(from_x, weight_hh_l0, h, nonlinearity)
  }
}

module GRU(hidden: dim, bias: bool = true)(x: [b, s, d], h: [b, hidden] = 0) -> [b, s, hidden] {
  param weight_ih_l0: [3 * hidden, d] = kaiming(fan: hidden)
  param weight_hh_l0: [3 * hidden, hidden] = kaiming(fan: hidden)
  let from_x = x @ t(weight_ih_l0)
  if bias {
    param bias_ih_l0: [3 * hidden] = kaiming(fan: hidden)
    param bias_hh_l0: [3 * hidden] = kaiming(fan: hidden)
    return gru_steps(from_x + bias_ih_l0, weight_hh_l0, bias_hh_l0, h)
  } else {
    return gru_steps(from_x, weight_hh_l0, 0.0, h)
  }
}

module LSTM(hidden: dim, bias: bool = true)(x: [b, s, d], h: [b, hidden] = 0,
    c: [b, hidden] = 0) -> [b, s, hidden] {
  param weight_ih_l0: [4 * hidden, d] = kaiming(fan: hidden)
  param weight_hh_l0: [4 * hidden, hidden] = kaiming(fan: hidden)
  let from_x = x @ t(weight_ih_l0)
  if bias {
    param bias_ih_l0: [4 * hidden] = kaiming(fan: hidden)
    param bias_hh_l0: [4 * hidden] = kaiming(fan: hidden)
    return LSTMSteps()(from_x + (bias_ih_l0 + bias_hh_l0), weight_hh_l0, h, c)[0]
  } else {
    return LSTMSteps()(from_x, weight_hh_l0, h, c)[0]
  }
}

# An LSTM that gives its last h and c as well: let y, h, c = x |> encoder: LSTMStates(H)
module LSTMStates(hidden: dim, bias: bool = true)(x: [b, s, d], h: [b, hidden] = 0,
    c: [b, hidden] = 0) -> ([b, s, hidden], [b, hidden], [b, hidden]) {
  param weight_ih_l0: [4 * hidden, d] = kaiming(fan: hidden)
  param weight_hh_l0: [4 * hidden, hidden] = kaiming(fan: hidden)
  let from_x = x @ t(weight_ih_l0)
  if bias {
    param bias_ih_l0: [4 * hidden] = kaiming(fan: hidden)
    param bias_hh_l0: [4 * hidden] = kaiming(fan: hidden)
    return LSTMSteps()(from_x + (bias_ih_l0 + bias_hh_l0), weight_hh_l0, h, c)
  } else {
    return LSTMSteps()(from_x, weight_hh_l0, h, c)
  }
}

# ---- attention ----
# Of x: [.., heads, places, features] each head r times in a row.
fn repeat_heads(x, r) = (x.[*s, h, t, e -> *s, h, 1, t, e] * ones([r, 1, 1])).[*s, h, r, t, e -> *s, (h r), t, e]

# Over the last two axes, places and features.  A place sees what `mask` holds of the others, [.., rows, columns], and if
# `causal` none behind it; one that sees nothing gets zeros.  `bias` is added to the scores.  With enable_gqa the axis before
# the two, of heads, may be shorter in k and v: neighbours among the heads of q share theirs.  `scale` is a number; one that
# is learned multiplies q, with scale: 1.
fn scaled_dot_product_attention(q, k, v, mask = true, bias = 0.0, causal: bool = false, dropout_p: float = 0.0,
    enable_gqa: bool = false, scale: float = 1 / sqrt(size(q, over: -1))) = {
  let keys = if enable_gqa { repeat_heads(k, size(q, over: -3) // size(k, over: -3)) } else { k }
  let values = if enable_gqa { repeat_heads(v, size(q, over: -3) // size(v, over: -3)) } else { v }
  let past = if causal { outer(reshape(iota(size(q, over: -2)), [size(q, over: -2), 1]) >= iota(size(k, over: -2))) } else { true }
  let seen = mask and past
  let scores = q @ t(keys) * scale + bias
  let p = where(seen, softmax(where(seen, scores, -1e30), over: -1), 0.0)
  (if dropout_p > 0 { dropout(p, dropout_p) } else { p }) @ values
}

# Rotary positions, of x: [.., places, features].  Feature j turns with j + half of them, or with its neighbour.
fn rotary_embedding(x, base = 10000.0, interleaved = false) = {
  let places = size(x, over: -2)
  let half = size(x, over: -1) // 2
  let angle = outer(reshape(f32(iota(places)), [places, 1]) * base ^ (-f32(iota(half)) / half))
  let a, b = if interleaved { x.[*s, (h 2) -> 2, *s, h] } else { x.[*s, (2 h) -> 2, *s, h] }
  let turned = a * cos(angle) - b * sin(angle)
  let other = a * sin(angle) + b * cos(angle)
  if interleaved {
    where(iota(2) == 0, turned.[*s, h -> *s, h, 1], other.[*s, h -> *s, h, 1]).[*s, h, 2 -> *s, (h 2)]
  } else {
    where(reshape(iota(2) == 0, [2, 1]), turned.[*s, h -> *s, 1, h], other.[*s, h -> *s, 1, h]).[*s, 2, h -> *s, (2 h)]
  }
}

# Queries, keys and values side by side, each of them the heads side by side.
module HeadsAttention(heads: dim, causal: bool, dropout_p: float)(qkv: [n, s, w]) -> [n, s, *d] {
  let q, k, v = qkv.[n, s, (3 heads e) -> 3, n, heads, s, e]
  let seen = scaled_dot_product_attention(q, k, v, causal: causal, dropout_p: dropout_p)
  return seen.[n, heads, s, e -> n, s, (heads e)]
}

# Of a sequence to itself; parts of the weight are those of queries, keys and values.  Causal: a place sees none behind it.
module MultiheadAttention(heads: dim, causal: bool = false, bias: bool = true,
    dropout_p: float = 0.0)(x: [n, s, d]) -> [n, s, d] {
  param in_proj_weight: [3 * d, d] = xavier(d, 3 * d)
  let qkv = x @ t(in_proj_weight)
  if bias {
    param in_proj_bias: [3 * d] = zeros
    return HeadsAttention(heads, causal, dropout_p)(qkv + in_proj_bias) |> out_proj: Linear(d)
  } else {
    return HeadsAttention(heads, causal, dropout_p)(qkv) |> out_proj: Linear(d, bias: false)
  }
}

# ---- halves that gate, distances, margins ----
# The first half of the last axis, as far as the second lets it through.
fn glu(x) = {
  let a, b = split(x, 2, over: -1)
  a * sigmoid(b)
}
# Along the last axis.
fn pairwise_distance(x, y, eps = 1e-6) = norm(x - y + eps, over: -1)
# Labels are 1 and 0, as many of them as there are.
fn multilabel_soft_margin(x, y) = mean(-(y * logsigmoid(x) + (1 - y) * logsigmoid(-x)))
# Scores x: [B, K] against classes y: [B]: by how much others come within the margin.
fn multi_margin(x, y, margin = 1.0) = {
  let hit = one_hot(y, like: x)
  let z = margin - sum(where(hit, x, 0.0), over: -1, keep: true) + x
  mean(sum(where(not hit and z > 0, z, 0.0), over: -1) / size(x, over: -1))
}

# ---- sequences without alignment ----
# log(exp(a) + exp(b) + exp(c)); of -inf too, where the slope is 0.
fn log_add(a, b, c) = {
  let high = stop(maximum(maximum(a, b), c))
  let none = high == log(0.0)
  let top = where(none, 0.0, high)
  let sum = exp(a - top) + exp(b - top) + exp(c - top)
  where(none, high, top + log(where(none, 1.0, sum)))
}

# Connectionist temporal classification, of log-probabilities logp: [B, T, K] and labels targets: [B, S], the batch first
# in both.  Of a row the first input_lengths: [B] times count and the first target_lengths: [B] labels; `blank` is the
# class between labels.  Each row by the number of its labels, then the mean.  Labels that fit in no way cost inf, or 0
# with zero_infinity; their slope is 0.
#
# The states are the labels with blanks around and between them.  A step stays, or goes on by one, or over the blank
# between two labels that differ; alpha is the log of the probability of all ways to a state.
fn ctc(logp, targets, input_lengths, target_lengths, blank = 0, zero_infinity = false) = {
  let rows = size(logp, over: 0)
  let steps = size(logp, over: 1)
  let labels = size(targets, over: 1)
  let never = log(0.0)
  let state = iota(2 * labels + 1)
  let is_label = state % 2 == 1
  let own = where(is_label, targets[:, minimum(state // 2, labels - 1)], blank)
  let before = targets[:, clamp(state // 2 - 1, min: 0, max: labels - 1)]
  let skips = is_label and state > 1 and own != before
  let times = input_lengths.[b -> b, 1]
  let end = 2 * target_lengths.[b -> b, 1]
  let alpha = where(state == 0, zeros([rows, 2 * labels + 1]), never)
  for k in 0..steps carry alpha {
    let by_one = pad(alpha[:, :-1], 1, 0, over: 1, value: never)
    let by_two = where(skips, pad(alpha[:, :-2], 2, 0, over: 1, value: never), never)
    let next = log_add(alpha, by_one, by_two) + gather(logp[:, k], own, over: 1)
    alpha = where(k < times, next, alpha)
  }
  let at_blank = sum(where(state == end, alpha, 0.0), over: 1)
  let at_label = sum(where(state == end - 1, alpha, 0.0), over: 1)
  let total = log_add(at_blank, where(target_lengths > 0, at_label, never), never)
  let lost = if zero_infinity { 0.0 } else { -never }
  mean(where(total == never, lost, -total / maximum(target_lengths, 1)))
}

# ---- pictures [n, channels, h, w], r times as large: from channels, or each point r x r times ----
fn pixel_shuffle(x, r) = {
  let n = size(x, over: 0)
  let c = size(x, over: 1) // (r * r)
  let h = size(x, over: 2)
  let w = size(x, over: 3)
  let y = reshape(x, [n, c, r, r, h, w])
  y.[n, c, a, b, h, w -> n, c, (h a), (w b)]
}
fn upsample_nearest(x, r) = {
  let y = x.[n, c, h, w -> n, c, h, 1, w, 1] * ones([1, 1, 1, r, 1, r])
  y.[n, c, h, a, w, b -> n, c, (h a), (w b)]
}

# ---- in PyTorch ----
# Of each function and module above PyTorch's name (F: torch.nn.functional, nn: torch.nn) or none, and of a module what
# it computes.  docs/ops.md is made of this.
#
# leaky_relu           F.leaky_relu
# elu                  F.elu
# gelu                 F.gelu
# gelu_tanh            F.gelu(approximate="tanh")
# silu                 F.silu
# softplus             F.softplus
# mish                 F.mish
# logsigmoid           F.logsigmoid
# softsign             F.softsign
# celu                 F.celu
# selu                 F.selu
# prelu                F.prelu
# threshold            F.threshold
# hardtanh             F.hardtanh
# relu6                F.relu6
# hardsigmoid          F.hardsigmoid
# hardswish            F.hardswish
# tanhshrink           F.tanhshrink
# softshrink           F.softshrink
# hardshrink           F.hardshrink
# mse                  F.mse_loss
# l1                   F.l1_loss
# smooth_l1            F.smooth_l1_loss
# huber                F.huber_loss
# kl_div               F.kl_div
# poisson_nll          F.poisson_nll_loss
# gaussian_nll         F.gaussian_nll_loss
# soft_margin          F.soft_margin_loss
# hinge_embedding      F.hinge_embedding_loss
# margin_ranking       F.margin_ranking_loss
# cosine_similarity    F.cosine_similarity
# cosine_embedding     F.cosine_embedding_loss
# triplet_margin       F.triplet_margin_loss
# bce                  F.binary_cross_entropy
# bce_with_logits      F.binary_cross_entropy_with_logits
# nll                  F.nll_loss
# cross_entropy        F.cross_entropy
# Linear               nn.Linear: x @ t(weight) + bias
# LayerNorm            nn.LayerNorm: (x - mean) / sqrt(variance + eps) * weight + bias, over the last axis
# Dropout              nn.Dropout: x / (1 - p), or 0 with probability p; x outside of training
# Conv1d               nn.Conv1d: a window of x times weight, summed, at every place, + bias
# Conv2d               nn.Conv2d: a window of x times weight, summed, at every place, + bias
# ConvTranspose1d      nn.ConvTranspose1d: the weight times each element of x, laid down where its window stands, + bias
# ConvTranspose2d      nn.ConvTranspose2d: the weight times each element of x, laid down where its window stands, + bias
# MaxPool1d            nn.MaxPool1d: the largest of a window, at every place
# MaxPool2d            nn.MaxPool2d: the largest of a window, at every place
# AvgPool1d            nn.AvgPool1d: the mean of a window, at every place
# AvgPool2d            nn.AvgPool2d: the mean of a window, at every place
# AdaptiveAvgPool1d    nn.AdaptiveAvgPool1d: means of as many windows as asked for
# AdaptiveAvgPool2d    nn.AdaptiveAvgPool2d: means of as many windows as asked for
# AdaptiveMaxPool1d    nn.AdaptiveMaxPool1d: the largest of as many windows as asked for
# AdaptiveMaxPool2d    nn.AdaptiveMaxPool2d: the largest of as many windows as asked for
# BatchNorm            nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d: (x - mean) / sqrt(variance + eps) * weight + bias, over all axes but f
# GroupNorm            nn.GroupNorm: (x - mean) / sqrt(variance + eps) * weight + bias
# InstanceNorm         nn.InstanceNorm1d, nn.InstanceNorm2d: (x - mean) / sqrt(variance + eps) * weight + bias
# RMSNorm              nn.RMSNorm: x / sqrt(mean of x^2 + eps) * weight, over the last axis
# Embedding            nn.Embedding: weight[ids]
# LSTMStep             none: one step of an LSTM from its four gates, in the order i, f, g, o
# gru_step             none
# RNNCell              nn.RNNCell: tanh(x @ t(weight_ih) + bias_ih + h @ t(weight_hh) + bias_hh)
# LSTMCell             nn.LSTMCell: c' = sigmoid(f) c + sigmoid(i) tanh(g), h' = sigmoid(o) tanh(c'); gates as those of an RNN
# GRUCell              nn.GRUCell: h' = (1 - z) n + z h, n = tanh(x_n + r h_n); gates as those of an RNN
# rnn_steps            none
# LSTMSteps            none: the loop of an LSTM over time
# gru_steps            none
# RNN                  nn.RNN(batch_first=True): the cell at each time, one layer
# GRU                  nn.GRU(batch_first=True): the cell at each time, one layer
# LSTM                 nn.LSTM(batch_first=True): the cell at each time, one layer
# LSTMStates           nn.LSTM(batch_first=True): the cell at each time, one layer
# repeat_heads         torch.repeat_interleave(x, r, -3)
# scaled_dot_product_attention  F.scaled_dot_product_attention
# rotary_embedding     none
# HeadsAttention       none: attention of each head by itself
# MultiheadAttention   nn.MultiheadAttention(batch_first=True): attention of each head, then a linear layer
# glu                  F.glu
# pairwise_distance    F.pairwise_distance
# multilabel_soft_margin  F.multilabel_soft_margin_loss
# multi_margin         F.multi_margin_loss
# log_add              torch.logaddexp, of three
# ctc                  F.ctc_loss
# pixel_shuffle        F.pixel_shuffle
# upsample_nearest     F.interpolate(mode="nearest")
