# Dims: declared, computed, exact and floored division, the batch as a number.
dim B = 8, D = 12, H = 3, E = D / H, F = D // 5, R = D % 5
predict p in { x: f32[B, D] } -> p.x.[B, (H E) -> B, H, E] * sqrt(E) + (F - R) / B
