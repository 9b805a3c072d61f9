# Every source: csv, npy, npz, idx, random.
use nn
dim B = 4, P = 3, K = 2
data a = csv("a.csv") -> { x: f32[B, P], y: i32[B] }
data b = npy("x.npy", "y.npy") -> { x: f32[B, P], y: i32[B] }
data c = npz("c.npz", rows: 10) -> { x: f32[B, P], y: i32[B] }
data i = idx("images", "labels") -> { x: u8[B, P], y: u8[B] }
data r = random(rows: 8, seed: 3) -> { x: f32[B, P], y: i32[B] }
let net = Linear(K)
train d in a for 1 epochs {
  update net minimize cross_entropy(net(d.x), d.y) using sgd(lr: 0.1)
  every 1 epochs {
    eval e in b { log loss_b = cross_entropy(net(e.x), e.y) }
    eval e in c { log loss_c = cross_entropy(net(e.x), e.y) }
    eval e in i { log loss_i = cross_entropy(net(f32(e.x) / 255), i32(e.y)) }
    eval e in r { log loss_r = cross_entropy(net(e.x), e.y) }
  }
}
