# everything.mt: each construct of the language once, laid out as fmt leaves it
use nn
use "layers.mt"

dim B = 64, T = 128, V = 65, D = 4 * 32, L = 6
dim H = D // 32, E = D / H, O = D % H

data text = bytes("text.txt", window: T) -> { x: i32[B, T], y: i32[B, T] }
data images = idx("train.gz", rows: 1000, augment(flip, crop(4))) -> { x: u8[B, 28, 28], y: i32[B] }
data plain = bytes("a.txt", window: T)

fn leaky(x, slope = 0.01) = where(x > 0, x, slope * x)
fn penalty(f, m) = {
  let g = grad(sum(f(m)), m)  # differentiated again by update
  mean((norm(g, over: P) - 1) ^ 2)
}
fn pick(a, b, first: bool = true) = {
  if first { a } else { b }
}

module Cell(n: dim, act: fn = tanh, inner: module = Linear, eps: float = 1e-5,
    deep: bool = false)(x: [B, i], h: [B, n]) -> ([B, n], [B, n]) {
  param w: [n, i] = kaiming(fan: i)
  param scale: f32[] = ones
  state mean: [n] = zeros
  let g = if deep { 2 } else if eps > 0 { 1 } else { 0 }
  let y = x @ t(w) * scale - -g ^ -2 ^ 2
  if training and not deep {
    mean <- 0.9 * mean + 0.1 * mean(y, over: [0])
    let log = log(y)
    return act(log), h
  } else if deep or eps >= 1e-3 {
    return y + mean, h
  } else {
    return y, h
  }
}

module Net()(ids: i32[B, T], h: [B, D]) -> [B, T, V] {
  param wte: [V, D] = normal(0.02)
  let q, k, v = (wte[ids] |> qkv: Linear(3 * D)).[B, T, (3 H E) -> 3, B, H, T, E]
  let x = q[:, 1:]
    |> ln: LayerNorm() |> gelu
    # now the wide part
    |> up: Linear(4 * D)  # and a remark
    |> dropout(0.1)
  for b in stack(Block(), L) carry x remat { x = b(x) }
  for i in 0..T - 1 carry h, c collect y {
    h, c = cell(x[i], h, c)
    y = h
  }
  return (x |> lnf: LayerNorm()) @ t(wte) != y[-1, :3, a:b, :]
}

let net = Net()
weights net from "gpt2.safetensors" { wte: "transformer.wte.weight", "b.0": t("w"), ln.bias: "b" }

train d in shuffled(text, seed: 1) for 30 * 100 steps with (accumulate: 4, precision: bf16) {
  let loss = cross_entropy(net(d.x), d.y)
  freeze net.embed, net.head
  update net minimize loss using adamw(lr: 1e-3, clip: 1.0), net.norm using adamw(lr: 1e-3)
  log loss
  log norm = norm(grad(loss, net).wte)
  every 1 epochs eval e in text {
    log accuracy = mean(argmax(net(e.x), over: V) == e.y)
    save highest accuracy
    save lowest loss
  }
  every 100 steps {
    save
    sample net(d.x)
  }
}

predict p in { x: i32[B, T] } -> softmax(net(p.x), over: V)
