# Two draws of one body, two calls, two layers: four different sites.
use nn
dim B = 4, P = 3
module Noisy()(x: [n, f]) -> [n, f] {
  let a = dropout(x, 0.1)
  return dropout(a, 0.2) + dropout(a, 0.2)
}
module Net()(x: [B, P]) -> [B, P] {
  let once = Noisy()
  return once(once(x)) |> other: Noisy() |> fc: Linear(P)
}
let net = Net()
data d0 = random(rows: 8, seed: 1) -> { x: f32[B, P] }
train d in d0 for 1 steps {
  update net minimize mean(net(d.x)) using sgd(lr: 0.1)
}
