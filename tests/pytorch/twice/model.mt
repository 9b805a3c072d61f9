# phases.py says the same in PyTorch: three updates move some of the same parameters, in groups that cross.
use nn
dim B = 4, P = 3, K = 2
data rows = npy("x.npy", "y.npy") -> { x: f32[B, P], y: f32[B, K] }
module Net()(x: [n, P]) -> [n, K] {
  let h = x |> fc1: Linear(5)
  for k in 0..2 carry h { h = tanh(h) }
  return h |> fc2: Linear(K)
}
let net = Net()
let head = Net()
train d in rows for 6 steps {
  let was = net(d.x)
  let fit = mean((was - d.y) ^ 2)
  update net minimize fit using adamw(0.02, decay: 0.1, clip: 0.5), net.fc1 using sgd(0.1, momentum: 0.9)
  let apart = mean((net(d.x + 1) - head(d.x)) ^ 2)
  update net.fc2 minimize apart using adam(0.01, clip: 0.4), head using rmsprop(0.01), net.fc1.weight using adam(0.03)
  every 2 steps {
    let small = mean(net(d.x) ^ 2)
    update net minimize small using sgd(0.05, momentum: 0.5, clip: 0.1)
    log small
  }
  log apart
  log before = mean(was)
}
