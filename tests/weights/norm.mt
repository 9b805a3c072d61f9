# Layers with every kind of parameter that PyTorch knows too, for the round trip of weights.
use nn
dim B = 16, P = 12, H = 20, K = 5
data d0 = random(rows: 64, seed: 3) -> { x: f32[B, P], y: i32[B] }
module Net()(x: [B, P]) -> [B, K] {
  return x
    |> up: Linear(H) |> norm: LayerNorm() |> gelu
    |> mid: Linear(H, bias: false) |> tanh
    |> head: Linear(K)
}
let net = Net()
train d in shuffled(d0, seed: 1) for 4 epochs {
  let loss = cross_entropy(net(d.x), d.y)
  update net minimize loss using adamw(1e-2)
  log loss
}
predict p in { x: f32[B, P] } -> net(p.x)
