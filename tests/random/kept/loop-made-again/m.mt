use nn
dim B = 4, P = 12, K = 3, L = 3, M = 2
data rows = npy("x.npy", "t.npy", "y.npy") -> { x: f32[B, P], t: f32[B, P], y: i32[B] }
module Inner()(x: [B, P]) -> [B, P] {
  return x + (x |> fc: Linear(P) |> gelu |> dropout(0.1))
}
module Block()(x: [B, P]) -> [B, P] {
  let a = x |> ln: LayerNorm()
  for c in stack(Inner(), M) carry a { a = c(a) }
  return x + softmax(a, over: P)
}
module Net()(x: [B, P]) -> [B, K] {
  for b in stack(Block(), L) carry x remat { x = b(x) }
  return x |> out: Linear(K)
}
let net = Net()

train d in rows for 3 steps with (accumulate: 2) {
  let loss = cross_entropy(net(d.x), d.y)
  update net minimize loss using adamw(lr: 1e-2, decay: 0.1)
  log loss
}
predict p in { x: f32[B, P] } -> net(p.x)
