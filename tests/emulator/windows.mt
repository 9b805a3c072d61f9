# Windows of every sort, over a short last batch: strides, zeros around, holes,
# groups, transposed, pools that overlap or leave the axis, and sizes asked for.
use nn

dim B = 9, K = 3

data d0 = random(rows: 13, seed: 2) -> { x: f32[B, 2, 11, 10], s: f32[B, 3, 40], y: i32[B] }

module Net()(x: [B, 2, 11, 10], s: [B, 3, 40]) -> [B, K] {
  let a = x
    |> a1: Conv2d(6, 3, stride: [1, 2], padding: 1)
    |> relu
    |> max_pool2d(3, stride: 2, padding: 1)
    |> a2: Conv2d(6, 3, groups: 6, padding: "same")
    |> a3: ConvTranspose2d(4, 3, stride: 2, groups: 2)
  let b = a |> avg_pool2d(3, stride: 2, ceil_mode: true) |> adaptive_avg_pool2d([4, 2])
  let c = s |> c1: Conv1d(32, 4, dilation: 3, padding: "same") |> tanh |> max_pool1d(2)
    |> c2: ConvTranspose1d(2, 2, stride: 2) |> adaptive_max_pool1d(7)
  return (reshape(b, [B, 32]) |> fc1: Linear(K)) + (reshape(c, [B, 14]) |> fc2: Linear(K))
}

let net = Net()

train d in shuffled(d0, seed: 3) for 6 epochs {
  let z = net(d.x, d.s)
  let loss = cross_entropy(z, d.y % K)
  update net minimize loss using adamw(lr: 1e-2)
  log loss
}
