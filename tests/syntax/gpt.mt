module Attention()(x: [B, T, D]) -> [B, T, D] {
  let q, k, v = (x |> qkv: Linear(3 * D)).[B, T, (3 H E) -> 3, B, H, T, E]
  let p = softmax(causal(q @ t(k) / sqrt(E)), over: -1)
  return (p @ v).[B, H, T, E -> B, T, (H E)] |> proj: Linear(D)
}
module Block()(x: [B, T, D]) -> [B, T, D] {
  let a = x + (x |> ln1: LayerNorm() |> att: Attention() |> dropout(0.1))
  return a + (a |> ln2: LayerNorm() |> up: Linear(4 * D) |> gelu |> down: Linear(D))
}
module GPT()(ids: i32[B, T]) -> [B, T, V] {
  param wte: [V, D] = normal(0.02)
  param wpe: [T, D] = normal(0.02)
  let x = wte[ids] + wpe
  for b in stack(Block(), L) carry x remat { x = b(x) }
  return (x |> lnf: LayerNorm()) @ t(wte)                 # tied head
}
