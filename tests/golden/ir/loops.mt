# Loops: over blocks and time, in each other, and what each turn takes from outside.
use nn

dim B = 4, T = 6, P = 3, L = 2

data text = random(rows: 12, seed: 1) -> { x: f32[B, T, P], y: f32[B, P] }

module Block()(x: [B, P]) -> [B, P] {
  let y = x |> up: Linear(P) |> dropout(0.5)
  return x + y
}

module Net()(x: [B, T, P]) -> [B, P] {
  param decay: [T] = ones
  let early, late = split(x, 2, over: T)
  let scales = [1, 2]
  let h = x[:, 0]
  for t in 1..T carry h {
    let now = x[:, t]
    for b in stack(Block(), L) carry h { h = b(h + now * decay[t]) }
    h = h * scales[1] + early[:, 0] + late[:, 0] + rand([B, P])
  }
  let sum_of = zeros([B, P])
  for t in 0..T carry sum_of collect all {
    sum_of = sum_of + x[:, t] + 1
    all = mean(sum_of, over: P)
  }
  for i in 0..3 collect steps { steps = f32(i) }
  return h + sum_of + mean(all) * sum(steps)
}

let net = Net()

train d in text for 10 steps {
  let loss = mse(net(d.x), d.y)
  update net minimize loss using sgd(lr: 0.1)
  log loss
}

predict p in { x: f32[B, T, P] } -> net(p.x)
