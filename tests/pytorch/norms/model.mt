# phases.py says the same in PyTorch: BatchNorms, and what they make of other rows by their running values.
use nn

dim B = 4, K = 2

data rows = npy("x.npy", "y.npy") -> { x: f32[B, 2, 4, 4], y: f32[B, K] }
data others = npy("others.npy", "targets.npy") -> { x: f32[B, 2, 4, 4], y: f32[B, K] }

module Net()(x: [n, 2, 4, 4]) -> [n, K] {
  let h = x |> conv: Conv2d(3, 3, padding: 1) |> bn1: BatchNorm() |> relu
  return reshape(h, [n, 48])
    |> fc1: Linear(5)
    |> bn2: BatchNorm(momentum: 0.3)
    |> tanh
    |> fc2: Linear(K)
}

let net = Net()

train d in rows for 6 steps {
  let loss = mse(net(d.x), d.y)
  update net minimize loss using sgd(0.05)
  log loss
  every 1 epochs {
    eval e in others {
      log others = mse(net(e.x), e.y)
    }
  }
}

predict p in { x: f32[B, 2, 4, 4] } -> net(p.x)
