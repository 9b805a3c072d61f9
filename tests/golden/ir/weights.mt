# Weights from files: names, stacks of blocks, matrices transposed, what is left out.
use nn
dim B = 4, P = 6, K = 3
module Block()(x: [B, P]) -> [B, P] {
  return x + (x |> ln: LayerNorm() |> up: Linear(2 * P) |> relu |> down: Linear(P))
}
module Body()(x: [B, P]) -> [B, P] {
  for b in stack(Block(), 2) carry x { x = b(x) }
  return x
}
module Net()(x: [B, P]) -> [B, K] {
  return x |> body: Body() |> norm: BatchNorm() |> head: Linear(K)
}
let net = Net()
let plain = Linear(K)
weights net from "body.safetensors" { body.b.ln: "h.#.ln_1", body.b.up: t("h.#.mlp.c_fc"),
    "body.b.0.down": t("first.down"), "body.b.#.down": t("h.#.mlp.down"), head: none,
    norm.running_mean: "mean", _: "h.#.mask", _: "wte" }
weights plain from "plain.npz"
predict p in { x: f32[B, P] } -> net(p.x) + plain(p.x)
