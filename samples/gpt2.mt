# gpt2.mt: the 124M GPT-2, on token files as llm.c writes them.
#
# Twelve blocks of attention and a linear pair, learned positions, and a head
# that is the table of tokens: OpenAI's GPT-2 small, of 124,439,808 parameters
# (its table has 50,257 rows).  Each update sees eight rows of 1,024 tokens, eight
# times.  For a GPU; nobody has trained it to the end with mtc.  To see what a
# small one compiles to:
#
#     mtc samples/gpt2.mt -o gpt2.c -D L=2 -D D=64 -D H=4 -D T=64 -D V=512
#
# Data: none is shipped.  llm.c's dev/data scripts write such files; put one in
# data/ as tokens.bin and tokens-test.bin.

use nn

dim B = 8, T = 1024, V = 50257, D = 768, H = 12, L = 12

data train_set = tokens("data/tokens.bin", window: T) -> { x: i32[B, T], y: i32[B, T] }
data test_set = tokens("data/tokens-test.bin", window: T) -> { x: i32[B, T], y: i32[B, T] }

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

train d in shuffled(train_set, seed: 1) for 20000 steps with (accumulate: 8) {
  let loss = cross_entropy(net(d.x), d.y)
  update net minimize loss using adamw(lr: cosine(6e-4, warmup: 700), decay: 0.1, clip: 1.0)
  log loss
  every 250 steps {
    eval e in test_set { log test_loss = cross_entropy(net(e.x), e.y) }
  }
}
