# regression.mt: how far will the disease have progressed in a year?
#
# Ten baseline measurements of 442 diabetes patients (age, body mass, blood
# pressure, six serum values ...) predict a number between 25 and 346.  A
# straight line already explains half of the variance; a small network with
# dropout does about as well, which is the honest lesson of this data set.
# The target is divided by 100 inside the model, so that weights stay near 1;
# `rmse` is computed over the whole test set, in the units of the file.
#
# Data: Efron et al., Least Angle Regression, 2004 (data/README.md).

use nn

dim B = 32, F = 10, H = 32

data train_set = csv("data/diabetes-train.csv") -> { x: f32[B, F], y: f32[B] }
data test_set = csv("data/diabetes-test.csv") -> { x: f32[B, F], y: f32[B] }

module Net()(x: [B, F]) -> [B] {
  let h = x |> fc1: Linear(H) |> gelu |> dropout(0.2)
  let y = h |> fc2: Linear(1)
  return 100 * y[:, 0] + 150
}

let net = Net()

train d in shuffled(train_set, seed: 1) for 40 epochs {
  let loss = mse(net(d.x) / 100, d.y / 100)
  update net minimize loss using adamw(lr: cosine(3e-3, warmup: 20), decay: 0.1, clip: 1.0)
  log loss
  every 10 epochs {
    eval e in test_set {
      log rmse = sqrt(mean((net(e.x) - e.y) ^ 2))
      log mae = mean(abs(net(e.x) - e.y))
      save lowest rmse
    }
  }
}

predict p in { x: f32[B, F] } -> net(p.x)
