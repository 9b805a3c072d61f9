# digits.mt: a multilayer perceptron on 8x8 handwritten digits
use nn                                   # Linear, Conv2d, LayerNorm ...: ordinary .mt source that ships with mtc

dim B = 64, P = 64, H = 128, K = 10      # override from the command line: mtc -D H=256

data train_set = csv("data/digits-train.csv") -> { x: f32[B, P], y: i32[B] }
data test_set  = csv("data/digits-test.csv")  -> { x: f32[B, P], y: i32[B] }

module MLP()(x: [B, P]) -> [B, K] {
  return x / 16
    |> fc1: Linear(H) |> relu
    |> fc2: Linear(K)
}
let net = MLP()

train d in shuffled(train_set, seed: 1) for 30 epochs {
  let loss = cross_entropy(net(d.x), d.y)
  update net minimize loss using adamw(lr: cosine(1e-2, warmup: 50), decay: 0.01)
  log loss
  every 1 epochs eval e in test_set {
    log accuracy = mean(argmax(net(e.x), over: K) == e.y)
    save highest accuracy
  }
}

predict p in { x: f32[B, P] } -> softmax(net(p.x), over: K)
