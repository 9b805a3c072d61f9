# A schedule as a part of an expression: a cosine that ends at 0.01.
use nn
dim B = 4, P = 3
module Net()(x: [B, P]) -> [B, P] { return x |> a: Linear(P) }
let net = Net()
data d0 = random(rows: 8, seed: 1) -> { x: f32[B, P] }
train d in d0 for 20 steps {
  update net minimize norm(net(d.x)) using sgd(lr: 0.01 + cosine(0.1, warmup: total / 4))
}
