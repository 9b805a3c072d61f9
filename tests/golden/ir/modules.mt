# Configuration, labels, an instance called twice, a module in a module, tuples.
use nn
dim B = 4, P = 6, H = 8, K = 3
module Pair(o: dim, twice: bool = false, act: fn = relu)(x: [n, i]) -> ([n, o], [n, i]) {
  let h = x |> up: Linear(o, bias: false) |> act
  if twice { return h * 2, x }
  return h, x
}
module Net()(x: [B, P]) -> [B, K] {
  let h, same = x |> pair: Pair(H, twice: true, act: gelu)
  let shared = Linear(P)
  return shared(shared(same)) + (h |> down: Linear(P))
    |> norm: LayerNorm(eps: 1e-6)
    |> head: Linear(K)
}
let net = Net()
predict p in { x: f32[B, P] } -> softmax(net(p.x), over: K)
