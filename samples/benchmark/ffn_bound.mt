# ffn_bound: 4 x (layernorm; x + gelu(h) * softmax(h)), 8192 x 4096.  No matrix product: bound by memory.
use nn

dim B = 8192, D = 4096

data samples = random(rows: 8192, seed: 1) -> { x: f32[B, D], y: f32[B, D] }

module Layer()(x: [B, D]) -> [B, D] {
  let h = x |> norm: LayerNorm()
  return x + gelu(h) * softmax(h, over: D)
}
module Net()(x: [B, D]) -> [B, D] {
  return x |> l1: Layer() |> l2: Layer() |> l3: Layer() |> l4: Layer()
}
let net = Net()

train d in samples for 100 steps {
  let loss = mse(net(d.x), d.y)
  update net minimize loss using adamw(lr: 1e-3)
  log loss
}
