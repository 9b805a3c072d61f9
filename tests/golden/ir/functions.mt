# fn: defaults, named arguments, blocks, functions as arguments, labelled pipes.
dim B = 4, P = 3
fn scale(x, by = 2.0) = x * by
fn both(f, g, x) = {
  let a = f(x)
  f(a) - g(a)
}
# A default may read the arguments before it; one of a kind takes only that.
fn scaled(x, to: float = 3 * size(x, over: -1), twice: float = 2 * to) = x * to + twice
predict p in { x: f32[B, P] } -> (both(scale, tanh, p.x)
    |> scale(by: 0.5)
    |> relu) + scaled(p.x) + scaled(p.x, to: 0.5) + scaled(p.x, 0.5, 0.25)
