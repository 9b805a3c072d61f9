# mlp_mnist: 784-512-512-10, batch 128.
use nn

dim B = 128, P = 784, H = 512, K = 10

data samples = random(rows: 2048, seed: 1) -> { x: f32[B, P], y: i32[B] }

module MLP()(x: [B, P]) -> [B, K] {
  return x |> fc1: Linear(H) |> relu |> fc2: Linear(H) |> relu |> fc3: Linear(K)
}
let net = MLP()

train d in samples for 1000 steps {
  let loss = cross_entropy(net(d.x), d.y)
  update net minimize loss using adamw(lr: 1e-3)
  log loss
}
