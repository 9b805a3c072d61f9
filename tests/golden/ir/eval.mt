# Over the whole set: means, sums, extrema, and what depends on them once at the end.
use nn
dim B = 4, P = 3, K = 2
module Net()(x: [B, P]) -> [B, K] {
  return x |> fc: Linear(K) |> dropout(0.5)
}
let net = Net()
data train_set = csv("train.csv", rows: 100) -> { x: f32[B, P], y: i32[B] }
data test_set = npz("test.npz", drop: true) -> { x: f32[B, P], y: i32[B] }
train d in shuffled(train_set, seed: 7) for 3 epochs {
  let loss = cross_entropy(net(d.x), d.y)
  update net minimize loss using sgd(lr: 0.1)
  log loss
  log doubled = 2 * loss
  every 10 steps {
    log rate = mean(d.x)
    save
  }
  every 1 epochs eval e in test_set {
    let z = net(e.x)
    log accuracy = mean(argmax(z, over: K) == e.y)
    log rmse = sqrt(mean((z[:, 0] - f32(e.y)) ^ 2))
    log top = max(z) - min(z)
    log total = sum(z)
    save highest accuracy
    save lowest rmse
  }
}
predict p in { x: f32[B, P] } -> argmax(net(p.x), over: K)
