# A variational autoencoder of digits: eight numbers a picture, and pictures of eight numbers.
#
#   mtc run samples/vae.mt                 train, and keep the weights with the least bound on test digits
#   vae predict codes.npy -o digits.png    pictures of codes, eight numbers a row

use nn

dim B = 64, P = 64, H = 256, Z = 8

data train_set = csv("data/digits-train.csv") -> { x: f32[B, P], y: i32[B] }
data test_set = csv("data/digits-test.csv") -> { x: f32[B, P], y: i32[B] }

module Encoder()(x: [n, P]) -> ([n, Z], [n, Z]) {
  let code = x / 16 |> fc1: Linear(H) |> relu |> fc2: Linear(2 * Z)
  return code[:, :Z], code[:, Z:]
}

module Decoder()(z: [n, Z]) -> [n, P] {
  return z |> fc1: Linear(H) |> relu |> fc2: Linear(P)
}

let encode = Encoder()
let decode = Decoder()

# Of a picture whose pixels have ink with these log-odds, in nats.
fn surprise(logits, x) = sum(softplus(logits) - x / 16 * logits, over: -1)

# From N(mu, exp(v)) to N(0, 1), in nats.
fn divergence(mu, v) = 0.5 * sum(mu ^ 2 + exp(v) - v - 1, over: -1)

train d in shuffled(train_set, seed: 1) for 60 epochs {
  let mu, v = encode(d.x)
  let z = mu + exp(v / 2) * randn([B, Z])
  let reconstruction = mean(surprise(decode(z), d.x))
  let kl = mean(divergence(mu, v))
  update encode minimize reconstruction + kl using adam(lr: cosine(2e-3, warmup: 20)),
    decode using adam(lr: cosine(2e-3, warmup: 20))
  log reconstruction
  log kl
  every 5 epochs {
    eval e in test_set {
      let m, w = encode(e.x)
      log bound = mean(surprise(decode(m), e.x) + divergence(m, w))
      save lowest bound
    }
  }
}

predict p in { z: f32[B, Z] } -> sigmoid(decode(p.z)) * 16
