# Over named axes, several, numbered ones; kept; the batch counted at run time.
dim B = 4, T = 3, C = 5
module M()(x: [B, T, C]) -> [B, T] {
  let m = mean(x, over: [T, C], keep: true)
  let v = var(x, over: -1, unbiased: false)
  let s = std(x, over: C)
  let n = norm(x, over: [B, C])
  let l = logsumexp(x, over: 2)
  return max(x, over: C) - min(x, over: C) + v + s + l + n + m[:, :, 0] * count(x, over: [B, C]) +
    sum(x) / B
}
let net = M()
predict p in { x: f32[B, T, C] } -> net(p.x)
