# lstm: 2 layers of 512, 128 characters, batch 64, TF32.  Bound by the time from step to step.
use nn

dim B = 64, T = 128, V = 65, H = 512

data samples = random(rows: 64, seed: 1) -> { x: i32[B, T], y: i32[B, T] }

module Speller()(ids: i32[B, T]) -> [B, T, V] {
  return ids |> letters: Embedding(V, H) |> lstm1: LSTM(H) |> lstm2: LSTM(H) |> fc: Linear(V)
}
let net = Speller()

train d in samples for 100 steps with (precision: tf32) {
  let loss = cross_entropy(net(d.x), d.y)
  update net minimize loss using adamw(lr: 1e-3)
  log loss
}
