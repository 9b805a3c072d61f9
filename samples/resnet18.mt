# resnet18.mt: ResNet-18 as torchvision has it, on random pictures of ImageNet's shape: to be timed, not to learn.
#
# Eight blocks of two convolutions with batch normalization, each added to what
# came in; where a block halves the picture, a 1x1 convolution brings the sum's
# other side to size.  11,689,512 parameters, as torchvision counts.
#
#     mtc run samples/resnet18.mt -D B=8 -D S=32 -- --steps 20
#
# Data: random; a real set takes the place of random(...) as idx or npy files.

use nn

dim B = 32, S = 224, K = 1000

data train_set = random(rows: 64, seed: 1) -> { x: f32[B, 3, S, S], y: i32[B] }

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
    |> conv1: Conv2d(64, 7, stride: 2, padding: 3, bias: false) |> bn1: BatchNorm() |> relu
    |> max_pool2d(3, stride: 2, padding: 1)
    |> layer1_0: Same() |> layer1_1: Same()
    |> layer2_0: Half() |> layer2_1: Same()
    |> layer3_0: Half() |> layer3_1: Same()
    |> layer4_0: Half() |> layer4_1: Same()
  return reshape(adaptive_avg_pool2d(features, 1), [B, 512]) |> fc: Linear(K)
}

let net = ResNet18()

train d in train_set for 100 steps {
  let loss = cross_entropy(net(d.x), d.y)
  update net minimize loss using sgd(lr: 0.01, momentum: 0.9, decay: 1e-4)
  log loss
}
