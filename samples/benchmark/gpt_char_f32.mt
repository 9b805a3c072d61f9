# gpt_char_f32: gpt_char with f32 values and TF32 products.
use nn

dim B = 64, T = 256, V = 65, D = 384, H = 6, L = 6

data samples = random(rows: 64, seed: 1) -> { x: i32[B, T], y: i32[B, T] }

module Attention()(x: [B, T, D]) -> [B, T, D] {
  let q, k, v = (x |> qkv: Linear(3 * D)).[B, T, (3 H e) -> 3, B, H, T, e]
  let seen = scaled_dot_product_attention(q, k, v, causal: true)
  return seen.[B, H, T, e -> B, T, (H e)] |> proj: Linear(D)
}
module Block()(x: [B, T, D]) -> [B, T, D] {
  let a = x + (x |> ln1: LayerNorm() |> att: Attention())
  return a + (a |> ln2: LayerNorm() |> up: Linear(4 * D) |> gelu_tanh |> down: Linear(D))
}
module GPT()(ids: i32[B, T]) -> [B, T, V] {
  param wte: [V, D] = normal(0.02)
  param wpe: [T, D] = normal(0.02)
  let x = wte[ids] + wpe
  for b in stack(Block(), L) carry x { x = b(x) }
  return (x |> lnf: LayerNorm()) @ t(wte)
}
let net = GPT()

train d in samples for 100 steps with (precision: tf32) {
  let loss = cross_entropy(net(d.x), d.y)
  update net minimize loss using adamw(lr: 1e-3)
  log loss
}
