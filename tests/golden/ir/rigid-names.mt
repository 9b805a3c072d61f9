# i and o of a module are its own, whatever the sizes: the caller's names return.
use nn
dim B = 4, P = 8, H = 8
module Twice()(x: [*s, i]) -> [*s, 2 * i] {
  param w: [2 * i, i] = xavier(fan_in: i, fan_out: 2 * i)
  return x @ t(w)
}
let a = Twice()
let b = Linear(H)
predict p in { x: f32[B, P] } -> sum(a(p.x), over: -1) + sum(b(p.x), over: H)
