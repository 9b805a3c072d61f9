# Large maps and long rows, of which a thread takes a run of neighbours at a time: bf16 and f32, rows that end within
# a run, values kept or read again; a short last batch.
use nn
dim B = 3, T = 6, V = 16390, D = 128, K = 16
data d0 = random(rows: 8, seed: 6) -> { x: i32[B, T], y: i32[B, T] }
module Net()(ids: i32[B, T]) -> [B, T, V] {
  param places: [K, D] = normal(0.5)
  let x = places[ids % K]
  let h = x + (x |> ln1: LayerNorm() |> up: Linear(2 * D) |> gelu_tanh |> down: Linear(D))
  let short = mean(h[:, :, :90] ^ 2, over: -1, keep: true)
  return h + short |> ln2: LayerNorm() |> narrow: Linear(K) |> head: Linear(V, bias: false)
}
let net = Net()
train d in shuffled(d0, seed: 3) for 6 epochs with (precision: bf16) {
  let loss = cross_entropy(net(d.x), d.y % V)
  update net minimize loss using adamw(lr: 1e-3)
  log loss
}
