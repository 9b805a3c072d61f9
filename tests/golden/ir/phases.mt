# Several updates in one step, one of them every second time; a state that both of its modules' calls move.
dim B = 4, P = 3
data rows = random(rows: 16, seed: 1) -> { x: f32[B, P], y: f32[B, P] }
module Scale()(x: [n, f]) -> [n, f] {
  param gain: [f] = ones
  state seen: [f] = zeros
  state calls: [] = zeros
  seen <- 0.9 * seen + 0.1 * mean(x, over: n)
  if training { calls <- calls + 1 }
  return (x - seen) * gain
}
let a = Scale()
let b = Scale()
train d in rows for 4 steps {
  let left = a(d.x)
  let error = mean((left - d.y) ^ 2)
  update a minimize error using sgd(0.1)
  every 2 steps {
    let gap = mean((b(stop(left)) - a(d.x)) ^ 2)
    update b minimize gap using rmsprop(0.01, centered: true)
    log gap
  }
  log error
  log after = mean((a(d.x) - d.y) ^ 2)
  log calls = a.calls
}
predict p in { x: f32[B, P] } -> b(a(p.x))
