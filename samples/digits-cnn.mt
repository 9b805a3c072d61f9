use nn
dim B = 64, P = 64, K = 10
data train_set = csv("data/digits-train.csv") -> { x: f32[B, P], y: i32[B] }
data test_set  = csv("data/digits-test.csv")  -> { x: f32[B, P], y: i32[B] }

module CNN()(x: [B, P]) -> [B, K] {
  let image = reshape(x / 16, [B, 1, 8, 8])
  let features = image
    |> conv1: Conv2d(16, 3, padding: "same") |> relu
    |> conv2: Conv2d(32, 3, padding: 1) |> relu |> max_pool2d(2)
    |> conv3: Conv2d(64, 3, padding: 1) |> relu |> max_pool2d(2)
  return reshape(features, [B, 256]) |> fc: Linear(K)
}
let net = CNN()

train d in shuffled(train_set, seed: 1) for 20 epochs {
  let loss = cross_entropy(net(d.x), d.y)
  update net minimize loss using adamw(lr: cosine(5e-3, warmup: 50), decay: 0.01)
  log loss
  every 1 epochs eval e in test_set {
    log accuracy = mean(argmax(net(e.x), over: K) == e.y)
    save highest accuracy
  }
}
predict p in { x: f32[B, P] } -> softmax(net(p.x), over: K)
