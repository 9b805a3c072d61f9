# Every source: csv, npy, npz, idx, bytes, tokens, random.
use nn
dim B = 4, P = 3, K = 2, V = 256
data a = csv("a.csv") -> { x: f32[B, P], y: i32[B] }
data b = npy("x.npy", "y.npy") -> { x: f32[B, P], y: i32[B] }
data c = npz("c.npz", rows: 10) -> { x: f32[B, P], y: i32[B] }
data i = idx("images", "labels") -> { x: u8[B, P], y: u8[B] }
data r = random(rows: 8, seed: 3) -> { x: f32[B, P], y: i32[B] }
data t = bytes("t.txt", window: P) -> { x: i32[B, P], y: i32[B, P] }
data u = tokens("u.bin", drop: true, stride: 1) -> { x: i32[B, P], y: i32[B, P], z: i32[B, P] }
let net = Linear(K)
let next = Next()
module Next()(x: i32[B, P]) -> [B, P, V] {
  param table: [V, V] = zeros
  return table[x]
}
train d in a for 1 epochs {
  update net minimize cross_entropy(net(d.x), d.y) using sgd(lr: 0.1)
  every 1 epochs {
    eval e in b { log loss_b = cross_entropy(net(e.x), e.y) }
    eval e in c { log loss_c = cross_entropy(net(e.x), e.y) }
    eval e in i { log loss_i = cross_entropy(net(f32(e.x) / 255), i32(e.y)) }
    eval e in t { log loss_t = cross_entropy(next(e.x), e.y) }
    eval e in u {
      log loss_u = cross_entropy(next(e.x), e.y) + cross_entropy(next(e.y), e.z)
    }
    eval e in r { log loss_r = cross_entropy(net(e.x), e.y) }
  }
}
