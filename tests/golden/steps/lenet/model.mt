# LeNet in small: convolutions with and without zeros around, overlapping and other pools, and what becomes of them.
use nn

dim B = 5, K = 3

data train_set = random(rows: 16, seed: 1) -> { x: f32[B, 2, 9, 9], y: i32[B] }

module LeNet()(x: [B, 2, 9, 9]) -> [B, K] {
  let a = x |> conv1: Conv2d(4, 3, padding: 1) |> relu |> max_pool2d(2)
  let b = a |> depth: Conv2d(4, 3, groups: 4, padding: "same") |> point: Conv2d(6, 1) |> relu |> avg_pool2d(2)
  return reshape(b, [B, 24]) |> fc: Linear(K)
}

let net = LeNet()

train d in train_set for 10 steps {
  let loss = cross_entropy(net(d.x), d.y)
  update net minimize loss using sgd(lr: 0.1)
  log loss
}

predict p in { x: f32[B, 2, 9, 9] } -> argmax(net(p.x), over: K)
