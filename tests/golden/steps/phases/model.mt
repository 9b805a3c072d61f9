# A generator and its critic: one moves in every step, the other in every second; sums of what both leave behind.
use nn
dim B = 4, P = 3, Z = 2
data rows = random(rows: 16, seed: 1) -> { x: f32[B, P], z: f32[B, Z] }
module Generator()(z: [n, i]) -> [n, P] { return z |> fc1: Linear(5) |> bn: BatchNorm() |> tanh |> fc2: Linear(P) }
module Critic()(x: [n, i]) -> [n, 1] { return x |> fc1: Linear(5) |> tanh |> fc2: Linear(1) }
let G = Generator()
let D = Critic()
train d in rows for 6 steps {
  let fake = G(d.z)
  let real = D(d.x)
  let before = sum(D.fc1.weight ^ 2)
  update D minimize mean(softplus(-real)) + mean(softplus(D(stop(fake)))) using adam(0.02, clip: 0.5)
  every 2 steps {
    let fooled = mean(softplus(-D(fake)))
    update G minimize fooled + 0.1 * mean(G(d.z + 1) ^ 2) using rmsprop(0.01)
    log fooled
  }
  log moved = sum(D.fc1.weight ^ 2) - before
  log spread = mean(G.bn.running_var) - mean(G.fc2.bias)
}
