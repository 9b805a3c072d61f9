use nn
dim B = 8, P = 4, H = 6, K = 3
data d0 = random(rows: 32, seed: 1) -> { x: f32[B, P], y: i32[B] }
module M()(x: [B, P]) -> [B, K] {
  return x |> fc1: Linear(H) |> relu |> fc2: Linear(H)
}
let net = M()
train d in d0 for 10 steps {
  let loss = cross_entropy(net(d.x), d.y)
  update net minimize loss using sgd(lr: 0.1)
  log loss
}
