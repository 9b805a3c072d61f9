# A gather and its scatter, a mean over time, products with batch axes.
use nn
dim B = 4, T = 5, V = 20, D = 6, K = 2
data d0 = random(rows: 16, seed: 1) -> { ids: i32[B, T], y: i32[B] }
module Net()(ids: i32[B, T]) -> [B, K] {
  param table: [V, D] = normal(0.02)
  let x = table[ids]
  let p = softmax(x @ t(x) / sqrt(D), over: -1)
  return mean(p @ x, over: T) |> head: Linear(K)
}
let net = Net()
train d in d0 for 10 steps with (precision: tf32) {
  update net minimize cross_entropy(net(d.ids), d.y) using adam(1e-3)
}
