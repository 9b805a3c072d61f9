use nn
dim B = 4, P = 12, T = 3, S = 2, D = 4
data rows = npy("x.npy", "t.npy", "y.npy") -> { x: f32[B, P], t: f32[B, P], y: i32[B] }
module Net()(x: [B, P]) -> [B, D] {
  param w: [D] = normal(0.5)
  param u: [S, D] = normal(0.5)
  let parts = x.[B, (T D) -> B, T, D]
  let z = zeros([B, D])
  let sum_of = zeros([B, D])
  for i in 1..T carry z, sum_of collect zs {
    let a = parts[:, i]
    for j in 0..S carry a collect each {
      a = tanh(a * u[j] + w)
      each = a * (j + 1) + 0.1 * z
    }
    z = tanh(z * w) + mean(each, over: S)
    sum_of = sum_of + z * i
    zs = exp(-z)
  }
  return z + sum_of + mean(zs, over: 0) + 0.1 * parts[:, 0]
}
let net = Net()

train d in rows for 3 steps {
  let out = net(d.x)
  let slope = grad(mean(out ^ 2), net.w)
  let loss = mean((out - d.t[:, 0:4]) ^ 2) + 0.1 * sum(slope ^ 2)
  update net minimize loss using sgd(lr: 1e-2, momentum: 0.9)
  log loss
}
predict p in { x: f32[B, P] } -> net(p.x)
