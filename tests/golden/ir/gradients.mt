# grad is an expression: of values, parameters, instances; it nests; stop cuts.
use nn
dim B = 4, P = 3
module Net()(x: [B, P]) -> [B] {
  return (x |> fc: Linear(8) |> tanh |> out: Linear(1))[:, 0]
}
let net = Net()
data d0 = random(rows: 8, seed: 1) -> { x: f32[B, P], y: f32[B] }
train d in d0 for 4 steps {
  let y = net(d.x)
  let loss = mse(y, d.y)
  let slope = grad(sum(y), d.x)
  let curve = grad(sum(slope * stop(slope)), d.x)
  let g = grad(loss, net)
  let penalty = mean((norm(slope, over: P) - 1) ^ 2) + mean(curve ^ 2) + norm(g) +
    sum(abs(g.fc.bias))
  update net minimize loss + 0.1 * penalty using sgd(lr: 0.1)
  log penalty
}
