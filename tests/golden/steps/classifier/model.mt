# A classifier with all around it: groups, a schedule, clipping, logs, eval, predict.
use nn
dim B = 8, P = 6, H = 10, K = 3
data train_set = csv("train.csv") -> { x: f32[B, P], y: i32[B] }
data test_set = csv("test.csv") -> { x: f32[B, P], y: i32[B] }
module Net()(x: [B, P]) -> [B, K] {
  return x |> fc1: Linear(H) |> relu |> dropout(0.1) |> fc2: Linear(K)
}
let net = Net()
train d in shuffled(train_set, seed: 1) for 5 epochs with (accumulate: 2) {
  let loss = cross_entropy(net(d.x), d.y)
  update net minimize loss using adamw(lr: cosine(1e-2, warmup: 5), decay: 0.1, clip: 1.0),
    net.fc2.bias using sgd(lr: 0.1)
  log loss
  every 1 epochs eval e in test_set {
    log accuracy = mean(argmax(net(e.x), over: K) == e.y)
    save highest accuracy
  }
}
predict p in { x: f32[B, P] } -> softmax(net(p.x), over: K)
