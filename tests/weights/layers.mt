# One of every layer of the standard file that holds parameters or states, for the round trip of weights.
use nn

dim B = 4, T = 6, D = 8, V = 11, K = 5

data d0 = random(rows: 8, seed: 3) -> { x: f32[B, 2, 8, 8], ids: i32[B, T], y: i32[B] }

module Picture()(x: [n, 2, 8, 8]) -> [n, 3, 8, 8] {
  return x
    |> conv1: Conv2d(4, 3, padding: 1) |> bn: BatchNorm() |> relu
    |> conv2: Conv2d(4, [3, 2], stride: 2, padding: [1, 0], groups: 2, bias: false)
    |> gn: GroupNorm(2)
    |> up: ConvTranspose2d(3, 2, stride: 2, groups: 1) |> inorm: InstanceNorm(affine: true)
}

module Signal()(x: [n, 3, 64]) -> [n, T, D] {
  let y = x
    |> conv: Conv1d(6, 4, stride: 4, groups: 3) |> bn: BatchNorm(momentum: 0.3) |> tanh
    |> up: ConvTranspose1d(D, 3, stride: 2, bias: false)
  return y[:, :, :T].[n, D, T -> n, T, D]
}

module Recurrent()(x: [n, T, D]) -> [n, T, D] {
  let y = x |> rnn: RNN(7) |> gru: GRU(6) |> plain: GRU(5, bias: false) |> lstm: LSTM(D)
  let z, h, c = y |> states: LSTMStates(D)
  return y + z + h.[n, D -> n, 1, D] * c.[n, D -> n, 1, D]
}

module Cells()(x: [n, D]) -> [n, D] {
  let a = x |> rnn: RNNCell(D)
  let h, c = a |> lstm: LSTMCell(D)
  let g = GRUCell(D)
  return g(h, c)
}

module Block()(x: [n, T, D]) -> [n, T, D] {
  let a = x + (x |> norm: RMSNorm() |> att: MultiheadAttention(2, causal: true))
  return a + (a |> ln: LayerNorm() |> fc: Linear(D, bias: false) |> gelu)
}

module Net()(x: [B, 2, 8, 8], ids: i32[B, T]) -> [B, K] {
  let seen = (x |> picture: Picture()).[B, 3, 8, 8 -> B, 3, (8 8)] |> signal: Signal()
  let y = seen + (ids |> table: Embedding(V, D)) |> recurrent: Recurrent()
  for b in stack(Block(), 3) carry y { y = b(y) }
  return y[:, -1] |> cells: Cells() |> head: Linear(K)
}

let net = Net()

train d in d0 for 2 steps {
  let loss = cross_entropy(net(d.x, d.ids), d.y)
  update net minimize loss using adamw(1e-2)
  log loss
}

predict p in { x: f32[B, 2, 8, 8], ids: i32[B, T] } -> net(p.x, p.ids)
