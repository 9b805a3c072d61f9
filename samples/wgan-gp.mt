# A Wasserstein GAN with gradient penalty: digits from noise.  The critic moves in every step, the generator in
# every fifth; the penalty is a gradient inside of a loss.
#
#   mtc run samples/wgan-gp.mt                      train
#   wgan-gp predict noise.npy -o digits.png         pictures of noise, sixteen numbers a row

use nn

dim B = 64, P = 64, H = 256, Z = 16

data train_set = csv("data/digits-train.csv") -> { x: f32[B, P], y: i32[B] }

module Generator()(z: [n, Z]) -> [n, P] {
  return z |> fc1: Linear(H) |> relu |> fc2: Linear(H) |> relu |> fc3: Linear(P) |> sigmoid
}

module Critic()(x: [n, P]) -> [n] {
  return (x
      |> fc1: Linear(H)
      |> leaky_relu(0.2)
      |> fc2: Linear(H)
      |> leaky_relu(0.2)
      |> fc3: Linear(1))[:, 0]
}

let G = Generator()
let D = Critic()

train d in shuffled(train_set, seed: 1) for 200 epochs {
  let real = d.x / 16
  let fake = G(randn([B, Z]))
  let between = real + rand([B, 1]) * (stop(fake) - real)
  let slope = grad(sum(D(between)), between)
  let penalty = mean((norm(slope, over: P) - 1) ^ 2)
  let distance = mean(D(real)) - mean(D(stop(fake)))
  update D minimize 10 * penalty - distance using adam(lr: 5e-4, beta1: 0.0, beta2: 0.9)
  every 5 steps {
    let fooled = -mean(D(fake))
    update G minimize fooled using adam(lr: 5e-4, beta1: 0.0, beta2: 0.9)
  }
  log distance
  log penalty
}

predict p in { z: f32[B, Z] } -> G(p.z)
