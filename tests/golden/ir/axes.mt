# What goes along an axis, by index or by letters.
dim B = 4, P = 6, Q = 3, L = 100
module Axes()(x: [B, P], long: [B, L], ids: i32[B, 2]) -> [B, P] {
  param w: [Q, P] = zeros
  let run = cumsum(long, over: L)[:, -1:]
  let q = einsum("bp,qp->bq", x, w)
  let back = einsum("bq,qp,b->bp", q, w, sum(run, over: 1))
  let values, places = topk(back, 2, over: 1)
  let taken = gather(x, places, over: 1) * values
  let spread = scatter_add(back, ids, taken, over: 1)
  let kept = where(any(x > 0, over: P, keep: true) and all(ids, over: 1, keep: true), spread, x)
  return kept[:, (iota(P) + 1) % P] * prod(q, over: Q, keep: true) + cumprod(x, over: P)
}
let net = Axes()
predict p in { x: f32[B, P], long: f32[B, L], ids: i32[B, 2] } -> net(p.x, p.long, p.ids)
