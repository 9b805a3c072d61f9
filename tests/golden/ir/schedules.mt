# Rates from step, epoch and total.
use nn
dim B = 4, P = 3
module Net()(x: [B, P]) -> [B, P] {
  return x |> a: Linear(P) |> b: Linear(P) |> c: Linear(P) |> d: Linear(P) |> e: Linear(P)
}
let net = Net()
data d0 = random(rows: 8, seed: 1) -> { x: f32[B, P] }
train d in d0 for 20 steps {
  update net minimize mean(net(d.x) ^ 2) using sgd(lr: cosine(0.1, warmup: 5)),
    net.b using sgd(lr: linear(0.1, to: 0.01)),
    net.c using sgd(lr: step_decay(0.1, every: 5, by: 0.5)), net.d using sgd(lr: one_cycle(0.1)),
    net.e using sgd(lr: 0.1 * minimum(1, (step + 1) / total) * 0.5 ^ epoch)
}
