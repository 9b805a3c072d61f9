# In bf16: views and relu change places with the rounding, gelu and softmax are f32, a weight is read often.
use nn
dim B = 8, T = 4, D = 6, H = 10
data samples = random(rows: 64, seed: 1) -> { x: f32[B, T, D], y: f32[B, T, D] }
module Attention()(x: [B, T, D]) -> [B, T, D] {
  let q, k, v = (x |> qkv: Linear(3 * D)).[B, T, (3 D) -> 3, B, T, D]
  return softmax(q @ t(k) / sqrt(D), over: -1) @ v
}
module Net()(x: [B, T, D]) -> [B, T, D] {
  param w: [H, D] = normal(0.1)
  let a = x + (x |> ln: LayerNorm() |> att: Attention())
  let h = gelu(a @ t(w))
  return a + f32(bf16(relu(h @ w)) @ t(bf16(w))) @ w
}
let net = Net()
train d in samples for 10 steps with (precision: bf16) {
  let loss = mse(net(d.x), d.y)
  update net minimize loss using sgd(lr: 0.1)
}
predict p in { x: f32[B, T, D] } -> net(p.x)
