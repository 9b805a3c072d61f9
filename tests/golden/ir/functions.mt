# fn: defaults, named arguments, blocks, functions as arguments, labelled pipes.
dim B = 4, P = 3
fn scale(x, by = 2.0) = x * by
fn both(f, g, x) = {
  let a = f(x)
  f(a) - g(a)
}
predict p in { x: f32[B, P] } -> both(scale, tanh, p.x) |> scale(by: 0.5) |> relu
