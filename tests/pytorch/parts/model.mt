# phases.py says the same in PyTorch, of one batch: the CTC loss of ten rows, here of four, four and two.
use nn

dim B = 4, T = 7, F = 3, K = 4, L = 3

data rows = npy("x.npy", "y.npy", "m.npy", "k.npy") -> { x: f32[B, T, F], y: i32[B, L], m: i32[B],
    k: i32[B] }

module Net()(x: [n, T, F]) -> [n, T, K] {
  return x |> fc1: Linear(5) |> tanh |> fc2: Linear(K)
}

let net = Net()

train d in rows for 6 steps with (accumulate: 3) {
  let loss = ctc(log_softmax(net(d.x), over: -1), d.y, d.m, d.k)
  update net minimize loss using adamw(0.05, decay: 0.1, clip: 0.5)
  log loss
}
