# Attention of several heads, to all places and to those before, in a batch that ends short.
use nn

dim B = 4, T = 37, D = 24, K = 5

data train_set = random(rows: 10, seed: 3) -> { x: f32[B, T, D], y: i32[B, T] }

module Net()(x: [n, s, d]) -> [n, s, K] {
  let seen = x + (x |> before: MultiheadAttention(2, causal: true))
  return seen + (seen |> all: MultiheadAttention(3)) |> head: Linear(K)
}

let net = Net()

train d in train_set for 9 steps {
  let loss = cross_entropy(net(d.x), d.y % K)
  update net minimize loss using adamw(lr: 1e-2)
  log loss
}
