# Every kind of kernel, in sizes that do not come out even: rows of a warp and
# of a block, columns, totals, the largest and where it is, a short last batch.
use nn
dim B = 7, P = 13, D = 1100, V = 9, T = 5, K = 3
data d0 = random(rows: 17, seed: 2) -> { x: f32[B, P], ids: i32[B, T], y: i32[B] }
module Net()(x: [B, P], ids: i32[B, T]) -> [B, K] {
  param table: [V, P] = normal(1.0)
  let words = mean(table[ids % V], over: T)
  let h = x + words |> wide: Linear(D) |> norm: LayerNorm() |> gelu |> dropout(0.1)
  let p = softmax(h, over: -1) * h
  let best = max(h, over: -1, keep: true) + f32(argmax(x, over: P)).[B -> B, 1]
  return (p + 0.01 * best) |> head: Linear(K)
}
let net = Net()
train d in shuffled(d0, seed: 3) for 9 epochs {
  let z = net(d.x, d.ids)
  let loss = cross_entropy(z, d.y % K) + 0.001 * sum(var(z, over: B, unbiased: false))
  update net minimize loss using adamw(lr: 1e-2, clip: 1.0), net.head using sgd(lr: 0.05)
  log loss
  every 1 epochs eval e in d0 {
    let s = net(e.x, e.ids)
    log accuracy = mean(argmax(s, over: K) == e.y % K)
    log top = max(s)
  }
}
