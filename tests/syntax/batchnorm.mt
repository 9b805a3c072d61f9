module BatchNorm()(x: [n, f, *s]) -> [n, f, *s] {
  param weight: [f] = ones
  param bias: [f] = zeros
  state running_mean: [f] = zeros
  state running_var: [f] = ones
  if training {
    let N = count(x, over: [n, *s])
    let m = mean(x, over: [n, *s])
    let v = var(x, over: [n, *s], unbiased: false)
    running_mean <- 0.9 * running_mean + 0.1 * m
    running_var  <- 0.9 * running_var + 0.1 * v * N / (N - 1)
    return (x - m) * rsqrt(v + 1e-5) * weight + bias      # m: [f] aligns with axis f
  } else {
    return (x - running_mean) * rsqrt(running_var + 1e-5) * weight + bias
  }
}
