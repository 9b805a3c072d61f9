# Shapes meet at their last axes, else by name; outer says that all pairs are meant.
dim B = 4, T = 3, C = 5
module M()(x: [B, T, C], t: [B, T], s: [B]) -> [B, T, C] {
  param scale: [C] = ones
  param shift: [T] = zeros
  let trailing = x * scale
  let named = trailing + t - s + shift
  return named * sum(outer(scale - scale.[C -> C].[C -> C, 1]), over: -1)
}
let net = M()
predict p in { x: f32[B, T, C], t: f32[B, T], s: f32[B] } -> net(p.x, p.t, p.s)
