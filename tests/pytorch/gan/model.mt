# phases.py says the same in PyTorch: the critic moves in every step, the generator in every second.
use nn
dim B = 4, P = 3, Z = 2
data rows = npy("x.npy", "z.npy") -> { x: f32[B, P], z: f32[B, Z] }
module Generator()(z: [n, i]) -> [n, P] { return z |> fc1: Linear(5) |> bn: BatchNorm() |> tanh |> fc2: Linear(P) }
module Critic()(x: [n, i]) -> [n, 1] { return x |> fc1: Linear(5) |> tanh |> fc2: Linear(1) }
let G = Generator()
let D = Critic()
train d in rows for 6 steps {
  let fake = G(d.z)
  let real = mean(softplus(-D(d.x)))
  update D minimize real + mean(softplus(D(stop(fake)))) using adam(0.02, clip: 0.5)
  every 2 steps {
    let fooled = mean(softplus(-D(fake)))
    update G minimize fooled + 0.1 * mean(G(d.z + 1) ^ 2) using adam(0.05, eps: 1e-4)
    log fooled
  }
  log real
}
