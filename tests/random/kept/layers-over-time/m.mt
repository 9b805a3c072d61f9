use nn
dim B = 4, P = 12, T = 4, D = 3, V = 5, K = 3
data rows = npy("x.npy", "t.npy", "y.npy") -> { x: f32[B, P], t: f32[B, P], y: i32[B] }
module Net()(x: [B, P]) -> [B, K] {
  let steps = x.[B, (T D) -> B, T, D] + (argmax(x.[B, (T D) -> B, T, D], over: D) |> emb: Embedding(V, D))
  let seen = steps |> rnn: RNN(4) |> att: MultiheadAttention(2, causal: true) |> lstm: LSTM(5) |> gru: GRU(4)
  return (seen[:, -1] + mean(seen, over: 1)) |> out: Linear(K)
}
let net = Net()

train d in rows for 3 steps {
  let loss = cross_entropy(net(d.x), d.y)
  update net minimize loss using adam(lr: 1e-2, clip: 0.5)
  log loss
}
predict p in { x: f32[B, P] } -> net(p.x)
