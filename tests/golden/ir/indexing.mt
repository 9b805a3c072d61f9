# Indices, negative ones, slices, gathers by a tensor of integers.
dim B = 4, T = 6, V = 10, C = 5
module M()(ids: i32[B, T]) -> [B, C] {
  param table: [V, C] = normal(0.02)
  let rows = table[ids]
  return rows[:, 0] + rows[:, -1, :] + sum(rows[:, 1:-1], over: T - 2) + sum(rows[:, 2:4], over: 1)
}
let net = M()
predict p in { ids: i32[B, T] } -> net(p.ids)
