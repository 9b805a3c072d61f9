# What runs along an axis, or goes by index or letters: running sums in blocks, products by halves, elements taken and
# added, the largest few, and a loss of sequences; a short last batch.
use nn
dim B = 5, P = 70, T = 6, K = 4, S = 2, H = 3
data d0 = random(rows: 13, seed: 4) -> { x: f32[B, P], z: f32[B, T, K], y: i32[B, S], n: i32[B] }
module Net()(x: [B, P], z: [B, T, K]) -> ([B, P], [B, T, K]) {
  param w: [P] = normal(0.3)
  param mix: [H, P, H] = normal(0.1)
  let words = log_softmax(z |> out: Linear(K), over: -1)
  let run = cumsum(x * w, over: P) / 8
  let parts = einsum("bp,hpi->bhi", run, mix)
  let few = topk(x + run, 3, over: P)[0]
  let turned = run[:, (iota(P) * 3 + 1) % P]
  let taken = gather(turned, (argmax(x, over: P, keep: true) + iota(9)) % P, over: P)
  let added = scatter_add(turned, argmin(x, over: P, keep: true), sum(taken, over: 1, keep: true),
      over: P)
  let kept = where(any(x > 2.0, over: P, keep: true), added, 0.5 * added)
  let many = cumprod(1 + tanh(few) * 0.3, over: 1)
  let all_of = prod(1 + 0.1 * tanh(parts), over: [1, 2]).[B -> B, 1]
  return kept + sum(many * all_of, over: 1, keep: true), words
}
let net = Net()
train d in shuffled(d0, seed: 3) for 9 epochs {
  let x, words = net(d.x, d.z)
  let picture = pixel_shuffle(reshape(glu(x), [B, 5, 7, 1])[:, :4], 2)
  let above = upsample_nearest(picture, 2) * d.x[:, 0].[B -> B, 1, 1, 1]
  let spoken = ctc(words, 1 + d.y % (K - 1), 5 + d.n % 2, d.n % 3)
  let loss = mean(picture ^ 2) + 0.1 * mean(above) + spoken
  update net minimize loss using adamw(lr: 1e-2)
  log loss
}
