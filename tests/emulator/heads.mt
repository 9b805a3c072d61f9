# Heads of 64 features in bf16, whose tiles tensor cores read: to places before, and to all with a scale below 0.
use nn

dim B = 2, T = 70, D = 64, K = 5

data train_set = random(rows: 4, seed: 3) -> { x: f32[B, T, D], y: i32[B, T] }

module Net()(x: [n, s, D]) -> [n, s, K] {
  let q, k, v = (x |> qkv: Linear(3 * D)).[n, s, (3 D) -> 3, n, s, D]
  let before = scaled_dot_product_attention(q, k, v, causal: true)
  let back = softmax(-0.25 * (before @ t(k)), over: -1) @ v
  return x + back |> head: Linear(K)
}

let net = Net()

train d in train_set for 4 steps with (precision: bf16) {
  let loss = cross_entropy(net(d.x), d.y % K)
  update net minimize loss using adamw(lr: 1e-2)
  log loss
}
