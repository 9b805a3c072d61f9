# Every way to reduce: rows, columns, all, the largest, where it is; views on the way.
dim B = 6, T = 7, C = 4
module M()(x: [B, T, C]) -> [B, C] {
  let columns = mean(x, over: T)
  let rows = std(x, over: C)
  let best = f32(argmax(x, over: T)) + max(x[:, 1:, :], over: 1)
  let all = norm(x, over: [B, T])
  return columns + best * all + sum(rows.[B, T -> T, B], over: T) / B
}
let net = M()
predict p in { x: f32[B, T, C] } -> net(p.x)
