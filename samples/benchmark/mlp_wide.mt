# mlp_wide: 6 x (4096 linear, layernorm, gelu), batch 8192, TF32.  Bound by matrix products.
use nn

dim B = 8192, D = 4096

data samples = random(rows: 8192, seed: 1) -> { x: f32[B, D], y: f32[B, D] }

module Layer()(x: [B, D]) -> [B, D] {
  return x |> fc: Linear(D) |> norm: LayerNorm() |> gelu
}
module Net()(x: [B, D]) -> [B, D] {
  return x |> l1: Layer() |> l2: Layer() |> l3: Layer() |> l4: Layer() |> l5: Layer() |> l6: Layer()
}
let net = Net()

train d in samples for 100 steps with (precision: tf32) {
  let loss = mse(net(d.x), d.y)
  update net minimize loss using adamw(lr: 1e-3)
  log loss
}
