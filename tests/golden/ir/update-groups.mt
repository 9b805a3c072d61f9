# Groups, later ones taken out of earlier; clip; freeze; options by place and by name.
use nn
dim B = 4, P = 3, H = 5, K = 2
module Net()(x: [B, P]) -> [B, K] {
  return x |> embed: Linear(H) |> norm: LayerNorm() |> head: Linear(K)
}
let net = Net()
data d0 = random(rows: 8, seed: 1) -> { x: f32[B, P], y: i32[B] }
train d in d0 for 4 steps with (accumulate: 2, precision: tf32) {
  freeze net.embed.bias
  update net minimize cross_entropy(net(d.x), d.y) using adamw(1e-3, decay: 0.1, clip: 1.0),
    net.norm using adamw(lr: 1e-3, decay: 0),
    net.head.bias using sgd(0.1, momentum: 0.9, nesterov: true)
}
