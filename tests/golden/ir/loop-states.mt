# States of stacked blocks are elements of a stack; one that all turns change is carried.
use nn
dim B = 8, P = 4, L = 3, T = 2
data d0 = random(rows: 32, seed: 1) -> { x: f32[B, P] }
module Block()(x: [n, f]) -> [n, f] {
  return x + (x |> bn: BatchNorm(affine: false))
}
module Net()(x: [B, P]) -> [B, P] {
  state seen: [] = zeros
  state scale: [P] = ones
  let y = x |> fc: Linear(P)
  for t in 0..T carry y {
    seen <- seen + mean(y)
    for b in stack(Block(), L) carry y { y = b(y) * scale }
  }
  return y / (1 + seen ^ 2)
}
let net = Net()
train d in d0 for 10 steps {
  update net minimize mean(net(d.x) ^ 2) using sgd(0.1)
  every 1 epochs eval e in d0 { log l = mean(net(e.x)) }
}
