# phases.py says the same in PyTorch: three updates of a CTC loss, two of which move some of the same parameters.
use nn

dim B = 4, T = 7, F = 3, K = 4, L = 3

data rows = npy("x.npy", "y.npy", "m.npy", "k.npy") -> { x: f32[B, T, F], y: i32[B, L], m: i32[B],
    k: i32[B] }

module Net()(x: [n, T, F]) -> [n, T, K] {
  return x |> fc1: Linear(5) |> tanh |> fc2: Linear(K)
}

let net = Net()
let head = Net()

train d in rows for 6 steps {
  let loss = ctc(log_softmax(net(d.x), over: -1), d.y, d.m, d.k)
  update net minimize loss using adamw(0.02, decay: 0.1, clip: 0.5),
    net.fc1 using sgd(0.1, momentum: 0.9)
  let both = ctc(log_softmax(net(d.x) + head(d.x), over: -1), d.y, d.m, d.k)
  update net.fc2 minimize both using adam(0.01, clip: 0.4), head using rmsprop(0.01)
  every 2 steps {
    let short = d.m - where(iota(B) == 1, 2, 0)
    let cut = ctc(log_softmax(net(d.x), over: -1), d.y, short, d.k, zero_infinity: true)
    update net minimize cut using sgd(0.05, momentum: 0.5, clip: 0.1)
    log cut
  }
  log loss
  log both
}
