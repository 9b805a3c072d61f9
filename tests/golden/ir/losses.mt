# Every loss of the standard file, with its options.
use nn
dim B = 4, K = 3
module M()(x: [B, K]) -> [B, K] {
  return x |> fc: Linear(K)
}
let net = M()
data d0 = random(rows: 8, seed: 1) -> { x: f32[B, K], y: f32[B, K], c: i32[B] }
train d in d0 for 2 steps {
  let z = net(d.x)
  let a = mse(z, d.y) + l1(z, d.y) + smooth_l1(z, d.y, beta: 0.5)
  let b = bce(sigmoid(z), d.y) + bce_with_logits(z, d.y)
  let c = cross_entropy(z, d.c) + cross_entropy(z, d.c, smoothing: 0.1, ignore: 2)
  update net minimize a + b + c using adam(1e-3)
  log a
  log b
  log c
}
