# recurrence: Elman's network over time, its last state and the mean of all.
use nn
dim B = 16, T = 50, D = 8, H = 32
data series = random(rows: 128, seed: 1) -> { x: f32[B, T, D], y: f32[B, H] }

module Net()(x: [B, T, D]) -> [B, H] {
  param w: [H, D] = kaiming(fan: H)
  param u: [H, H] = kaiming(fan: H)
  let h = zeros([B, H])
  for i in 0..T carry h collect hs {
    h = tanh(x[:, i] @ t(w) + h @ t(u))
    hs = h
  }
  return h + mean(hs, over: T)
}
let net = Net()

train d in series for 2 epochs {
  let loss = mse(net(d.x), d.y)
  update net minimize loss using sgd(lr: 0.1)
  log loss
}
predict p in { x: f32[B, T, D] } -> net(p.x)
