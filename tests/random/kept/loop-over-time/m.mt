use nn
dim B = 4, P = 12, T = 4, D = 3, H = 5, K = 3
data rows = npy("x.npy", "t.npy", "y.npy") -> { x: f32[B, P], t: f32[B, P], y: i32[B] }
module Cell()(x: [B, D], h: [B, H]) -> [B, H] {
  return tanh((x |> wx: Linear(H)) + (h |> wh: Linear(H, bias: false)) |> dropout(0.2))
}
module Net()(x: [B, P]) -> [B, K] {
  let cell = Cell()
  let steps = x.[B, (T D) -> B, T, D]
  let h = zeros([B, H])
  for i in 0..T carry h collect hs {
    h = cell(steps[:, i], h)
    hs = h * (i + 1)
  }
  return (h + mean(hs, over: T) + max(hs, over: T)) |> out: Linear(K)
}
let net = Net()

train d in rows for 3 steps {
  let loss = cross_entropy(net(d.x), d.y)
  update net minimize loss using adam(lr: 1e-2, clip: 0.5)
  log loss
}
predict p in { x: f32[B, P] } -> net(p.x)
