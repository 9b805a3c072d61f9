# sonnets.mt - a small GPT that writes one character after the other.
#
# A row is a window of T bytes, and stride: 1 begins one at every byte.
# x is the window, y the same one a byte further on: at every place the model
# says what comes next, seeing only what came before (causal).  Six sonnets are
# few, so it learns them by heart.  `./sonnets sample --prompt "Shall I"` goes on.
use nn

dim B = 8, T = 64, V = 128, D = 64, H = 4, E = D / H, L = 2

data text = bytes("data/sonnets.txt", window: T, stride: 1) -> { x: i32[B, T], y: i32[B, T] }

module Attention()(x: [B, T, D]) -> [B, T, D] {
  let q, k, v = (x |> qkv: Linear(3 * D)).[B, T, (3 H E) -> 3, B, H, T, E]
  let past = outer(reshape(iota(T), [T, 1]) >= iota(T))  # place i sees place j, when j is not later
  let p = softmax(where(past, q @ t(k) / sqrt(E), -1e9), over: -1)
  return (p @ v).[B, H, T, E -> B, T, (H E)] |> proj: Linear(D)
}

module Block()(x: [B, T, D]) -> [B, T, D] {
  let a = x + (x |> ln1: LayerNorm() |> att: Attention())
  return a + (a |> ln2: LayerNorm() |> up: Linear(4 * D) |> gelu |> down: Linear(D))
}

module GPT()(ids: i32[B, T]) -> [B, T, V] {
  param wte: [V, D] = normal(0.02)
  param wpe: [T, D] = normal(0.02)
  let x = wte[ids] + wpe
  for b in stack(Block(), L) carry x { x = b(x) }
  return (x |> lnf: LayerNorm()) @ t(wte)  # the head is the table of the characters
}

let net = GPT()

train d in shuffled(text, seed: 1) for 4 epochs {
  let loss = cross_entropy(net(d.x), d.y)
  update net minimize loss using adamw(lr: cosine(3e-3, warmup: 20), decay: 0.1, clip: 1.0)
  log loss
  every 1 epochs sample net(d.x)  # shows what it writes by now
}
