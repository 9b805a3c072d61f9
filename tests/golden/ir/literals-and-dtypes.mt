# Literals take the other's dtype; ints divide to floats; comparisons are bools.
dim B = 4, P = 3
predict p in { x: f32[B, P], n: i32[B, P] } -> where(p.n % 2 == 0 and not (p.x > 0.5), p.n / 2,
    f32(p.n // 2) + 2 ^ p.x) - f32(i32(p.x))
