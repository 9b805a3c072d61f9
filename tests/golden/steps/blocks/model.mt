# blocks: a stack of residual layers, whose parameters lie one behind the other.
use nn
dim B = 32, P = 16, H = 64, K = 5, L = 12
data points = random(rows: 256, seed: 1) -> { x: f32[B, P], y: i32[B] }

module Block()(x: [B, H]) -> [B, H] {
  return x + (x |> ln: LayerNorm() |> up: Linear(2 * H) |> gelu |> down: Linear(H))
}
module Net()(x: [B, P]) -> [B, K] {
  let h = x |> first: Linear(H)
  for b in stack(Block(), L) carry h remat { h = b(h) }
  return h |> last: Linear(K)
}
let net = Net()

train d in points for 2 epochs {
  let loss = cross_entropy(net(d.x), d.y)
  update net minimize loss using adamw(lr: 1e-3)
  log loss
}
