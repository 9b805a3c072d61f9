# A physics-informed network: the heat equation u_t = u_xx / 10 on a rod with cold ends, from the equation alone.
#
#   mtc run samples/pinn.mt       train; `error` is the distance to the known solution, relative, on fresh points

use nn

dim B = 256

data points = random(rows: 5120, seed: 1) -> { unused: f32[B] }

module Net()(p: [n, 2]) -> [n] {
  return (p
      |> fc1: Linear(32)
      |> tanh
      |> fc2: Linear(32)
      |> tanh
      |> fc3: Linear(32)
      |> tanh
      |> out: Linear(1))[:, 0]
}

let u = Net()

fn exact(p) = exp(-0.9869604401089358 * p[:, 1]) * sin(3.141592653589793 * p[:, 0])

# What the equation lacks at these points; second derivatives are gradients of gradients.
fn residual(p) = {
  let slope = grad(sum(u(p)), p)
  let curvature = grad(sum(slope[:, 0]), p)
  slope[:, 1] - 0.1 * curvature[:, 0]
}

train d in points for 150 epochs {
  let inside = rand([B, 2])
  let time = f32(iota(2))  # (0, 1): of a point the place, then the time
  let start = rand([B, 2]) * (1 - time)
  let left = rand([B, 2]) * time
  let equation = mean(residual(inside) ^ 2)
  let initial = mean((u(start) - exact(start)) ^ 2)
  let boundary = mean(u(left) ^ 2) + mean(u(left + 1 - time) ^ 2)
  update u minimize equation +
    10 * (initial + boundary) using adam(lr: cosine(5e-3, warmup: 100), clip: 1.0)
  log equation
  log initial
  log boundary
  every 10 epochs {
    eval e in points {
      let p = rand([B, 2])
      log error = sqrt(mean((u(p) - exact(p)) ^ 2) / mean(exact(p) ^ 2))
      save lowest error
    }
  }
}

predict p in { p: f32[B, 2] } -> u(p.p)
