# einops: axes split, joined, moved; a run of axes carried along.
dim B = 4, T = 3, H = 2, E = 5
module Heads()(x: [B, T, 3 * H * E]) -> [B, T, H * E] {
  let q, k, v = x.[B, T, (3 H E) -> 3, B, H, T, E]
  return ((q @ t(k)) @ v).[B, H, T, E -> B, T, (H E)]
}
module Swap()(x: [n, *s]) -> [n, *s] {
  return x.[n, *s -> n, *s] * 2
}
let heads = Heads()
let swap = Swap()
predict p in { x: f32[B, T, 3 * H * E] } -> swap(heads(p.x)).[B, *rest -> *rest, B]
