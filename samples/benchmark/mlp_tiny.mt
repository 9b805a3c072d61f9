# mlp_tiny: 64-128-10, batch 64.  Every kernel takes less time than its launch.
use nn

dim B = 64, P = 64, H = 128, K = 10

data samples = random(rows: 1024, seed: 1) -> { x: f32[B, P], y: i32[B] }

module MLP()(x: [B, P]) -> [B, K] {
  return x |> fc1: Linear(H) |> relu |> fc2: Linear(K)
}
let net = MLP()

train d in samples for 1000 steps {
  let loss = cross_entropy(net(d.x), d.y)
  update net minimize loss using adamw(lr: 1e-3)
  log loss
}
