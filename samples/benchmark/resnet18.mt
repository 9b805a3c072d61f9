# resnet18: pictures of 32 x 32, batch 256, TF32.  Bound by convolutions.
use nn

dim B = 256, S = 32, K = 10

data samples = random(rows: 256, seed: 1) -> { x: f32[B, 3, S, S], y: i32[B] }

module Same()(x: [n, c, h, w]) -> [n, c, h, w] {
  let y = x
    |> conv1: Conv2d(c, 3, padding: "same", bias: false) |> bn1: BatchNorm() |> relu
    |> conv2: Conv2d(c, 3, padding: "same", bias: false) |> bn2: BatchNorm()
  return relu(x + y)
}
module Half()(x: [n, c, h, w]) -> [n, 2 * c, *t] {
  let y = x
    |> conv1: Conv2d(2 * c, 3, stride: 2, padding: 1, bias: false) |> bn1: BatchNorm() |> relu
    |> conv2: Conv2d(2 * c, 3, padding: "same", bias: false) |> bn2: BatchNorm()
  let short = x |> downsample: Conv2d(2 * c, 1, stride: 2, bias: false) |> norm: BatchNorm()
  return relu(short + y)
}
module ResNet18()(x: [B, 3, S, S]) -> [B, K] {
  let features = x
    |> conv1: Conv2d(64, 3, padding: "same", bias: false) |> bn1: BatchNorm() |> relu
    |> layer1_0: Same() |> layer1_1: Same()
    |> layer2_0: Half() |> layer2_1: Same()
    |> layer3_0: Half() |> layer3_1: Same()
    |> layer4_0: Half() |> layer4_1: Same()
  return reshape(adaptive_avg_pool2d(features, 1), [B, 512]) |> fc: Linear(K)
}
let net = ResNet18()

train d in samples for 100 steps with (precision: tf32) {
  let loss = cross_entropy(net(d.x), d.y)
  update net minimize loss using adamw(lr: 1e-3)
  log loss
}
