# A tiny GPT-2 under the names that Hugging Face's transformers give it: its pairs of weights stand transposed there.
use nn

dim B = 4, T = 8, V = 32, D = 16, H = 2, L = 2

data d0 = random(rows: 8, seed: 3) -> { x: i32[B, T], y: i32[B, T] }

module Attention()(x: [B, T, D]) -> [B, T, D] {
  let q, k, v = (x |> qkv: Linear(3 * D)).[B, T, (3 H e) -> 3, B, H, T, e]
  let seen = scaled_dot_product_attention(q, k, v, causal: true)
  return seen.[B, H, T, e -> B, T, (H e)] |> proj: Linear(D)
}

module Block()(x: [B, T, D]) -> [B, T, D] {
  let a = x + (x |> ln1: LayerNorm() |> att: Attention())
  return a + (a |> ln2: LayerNorm() |> up: Linear(4 * D) |> gelu_tanh |> down: Linear(D))
}

module GPT2()(ids: i32[B, T]) -> [B, T, V] {
  param wte: [V, D] = normal(0.02)
  param wpe: [T, D] = normal(0.02)
  let x = wte[ids] + wpe
  for b in stack(Block(), L) carry x { x = b(x) }
  return (x |> lnf: LayerNorm()) @ t(wte)
}

let net = GPT2()

# lm_head is the table of tokens again.
weights net from "gpt2.safetensors" { wte: "transformer.wte.weight", wpe: "transformer.wpe.weight",
    b.ln1: "transformer.h.#.ln_1", b.att.qkv: t("transformer.h.#.attn.c_attn"),
    b.att.proj: t("transformer.h.#.attn.c_proj"), b.ln2: "transformer.h.#.ln_2",
    b.up: t("transformer.h.#.mlp.c_fc"), b.down: t("transformer.h.#.mlp.c_proj"),
    lnf: "transformer.ln_f", _: "lm_head" }

train d in d0 for 2 steps {
  let loss = cross_entropy(net(d.x), d.y)
  update net minimize loss using adamw(1e-3)
  log loss
}

predict p in { x: i32[B, T] } -> net(p.x)
