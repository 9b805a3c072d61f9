# A gradient inside of the loss: differentiated twice.
use nn
dim B = 4, P = 3
data d0 = random(rows: 16, seed: 1) -> { x: f32[B, P] }
module Net()(x: [B, P]) -> [B] {
  return (x |> fc: Linear(8) |> tanh |> out: Linear(1))[:, 0]
}
let net = Net()
train d in d0 for 10 steps {
  freeze net.out.bias
  let slope = grad(sum(net(d.x)), d.x)
  update net minimize mean((norm(slope, over: P) - 1) ^ 2) using sgd(lr: 0.1)
}
