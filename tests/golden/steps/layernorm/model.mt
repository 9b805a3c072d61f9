# Rows longer than a block: whole rows in registers, several reductions of one axis in one kernel.
use nn
dim B = 16, D = 1000
data d0 = random(rows: 64, seed: 1) -> { x: f32[B, D] }
module Net()(x: [B, D]) -> [B, D] {
  let h = x |> norm: LayerNorm()
  return x + gelu(h) * softmax(h, over: D)
}
let net = Net()
train d in d0 for 10 steps {
  update net minimize mean(net(d.x) ^ 2) using sgd(lr: 0.1, momentum: 0.9)
}
