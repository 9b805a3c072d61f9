use nn
dim B = 13, P = 13, Q = 2, R = 3
data rows = npy("x.npy", "t.npy", "y.npy") -> { x: f32[B, P], t: f32[B, P], y: i32[B] }

module Net()(x: [B, P]) -> [B, P] {
  param w0: [P] = uniform(-0.7, 0.9)
  return dropout(x, 0.25) * w0
}
let net = Net()

train d in rows for 3 steps with (accumulate: 3) {
  let out = net(d.x)
  let loss = cross_entropy(out, d.y, smoothing: 0.1)
  update net minimize loss using adam(lr: 1e-2, eps: 1e-4)
  log loss
  log l = mean(out)
}
predict p in { x: f32[B, P] } -> net(p.x)
