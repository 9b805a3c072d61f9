# What a model of text writes, shown while it is trained; dropout is of training only.
use nn
dim B = 4, T = 6, V = 128, D = 8
data text = bytes("t.txt", window: T, stride: 2) -> { x: i32[B, T], y: i32[B, T] }
module Net()(x: i32[B, T]) -> [B, T, V] {
  param table: [V, D] = normal(0.1)
  return table[x] |> dropout(0.1) |> head: Linear(V)
}
let net = Net()
train d in text for 10 steps {
  update net minimize cross_entropy(net(d.x), d.y) using sgd(lr: 0.1)
  every 5 steps { sample net(d.x) / 0.8 }
}
