# Pictures moved in training; what eval reads is as it is in the file.
use nn
dim B = 8, C = 3, H = 32, W = 24, K = 10
data train_set = npz("d.npz", augment(x, edges, flip, crop(4)), rows: 100) -> { x: f32[B, C, H, W],
    edges: u8[B, H, W], y: i32[B], z: f32[B, 2, 2] }
module Net()(x: [B, C, H, W], e: u8[B, H, W]) -> [B, K] {
  let seen = x * reshape(f32(e), [B, 1, H, W])
  return mean(seen, over: [H, W]) |> fc: Linear(K)
}
let net = Net()
train d in train_set for 1 epochs {
  let loss = cross_entropy(net(d.x, d.edges), d.y)
  update net minimize loss using sgd(lr: 0.1)
  log spread = mean(d.z)
  every 1 epochs eval e in train_set {
    log accuracy = mean(argmax(net(e.x, e.edges), over: K) == e.y)
  }
}
