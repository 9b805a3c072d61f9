# lenet.mt: two convolutions with pools and two linear layers, on random data of MNIST's shape.
use nn

dim B = 128, H = 128, K = 10

data train_set = random(rows: 128, seed: 1) -> { x: f32[B, 1, 28, 28], y: i32[B] }

module LeNet()(x: [B, 1, 28, 28]) -> [B, K] {
  let features = x
    |> conv1: Conv2d(32, 5, padding: 2) |> relu |> max_pool2d(2)
    |> conv2: Conv2d(64, 5, padding: 2) |> relu |> max_pool2d(2)
  return reshape(features, [B, 3136]) |> fc1: Linear(H) |> relu |> fc2: Linear(K)
}

let net = LeNet()

train d in train_set for 100 steps {
  let loss = cross_entropy(net(d.x), d.y)
  update net minimize loss using adamw(lr: 1e-3)
  log loss
}
