# Every activation and layer of the standard file.
use nn
dim B = 4, P = 3
module M()(x: [B, P]) -> [B, P] {
  let a = relu(x) + leaky_relu(x, slope: 0.1) + elu(x, alpha: 0.5)
  let b = gelu(x) + gelu_tanh(x) + silu(x) + sigmoid(x) + tanh(x) + softplus(x)
  return a + b |> drop: Dropout(0.25) |> ln: LayerNorm()
}
let net = M()
data d0 = random(rows: 8, seed: 1) -> { x: f32[B, P], y: f32[B, P] }
train d in d0 for 2 steps {
  update net minimize mse(net(d.x), d.y) using sgd(lr: 0.1)
}
