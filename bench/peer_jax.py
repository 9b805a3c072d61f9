#!/usr/bin/env python3
"""JAX as a resident child of bench/run:  peer_jax.py MODEL MODE FOLDER

MODE: jit times one jitted training step with donated buffers; grads writes the
gradients of the first batch.  Weights and batch are those that peer_torch.py
prepared; what a step does is that of samples/benchmark/MODEL.mt.
"""
import sys
import time

import jax
import jax.numpy as jnp
import numpy
from safetensors.numpy import load_file, save_file

name, mode, folder = sys.argv[1:4]
on_gpu = jax.default_backend() == "gpu"
PRECISION = {"gpt_char": "bf16", "gpt2": "bf16", "resnet18": "tf32", "mlp_wide": "tf32", "gpt_char_f32": "tf32", "lstm": "tf32"}.get(name, "f32")
jax.config.update("jax_default_matmul_precision", "tensorfloat32" if PRECISION == "tf32" else "float32" if PRECISION == "f32" else "default")


def narrow(x):
    """What a product reads: bf16 where that is the precision."""
    return x.astype(jnp.bfloat16) if PRECISION == "bf16" else x


def linear(p, at, x):
    return narrow(x) @ narrow(p[at + ".weight"]).T + narrow(p[at + ".bias"])


def layer_norm(p, at, x):
    x = x.astype(jnp.float32)
    c = x - x.mean(-1, keepdims=True)
    return c * jax.lax.rsqrt((c * c).mean(-1, keepdims=True) + 1e-5) * p[at + ".weight"] + p[at + ".bias"]


def mlp(layers):
    def forward(p, x):
        for i in range(1, layers):
            x = jax.nn.relu(linear(p, "fc%d" % i, x))
        return linear(p, "fc%d" % layers, x)
    return forward


# pictures are [n, h, w, c] here, as the hardware likes them
def conv(p, at, x, stride=1, padding="SAME"):
    return jax.lax.conv_general_dilated(x, p[at + ".weight"].transpose(2, 3, 1, 0), (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def pool(x):
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def lenet(p, x):
    x = pool(jax.nn.relu(conv(p, "conv1", x.transpose(0, 2, 3, 1)) + p["conv1.bias"]))
    x = pool(jax.nn.relu(conv(p, "conv2", x) + p["conv2.bias"]))
    return linear(p, "fc2", jax.nn.relu(linear(p, "fc1", x.transpose(0, 3, 1, 2).reshape(x.shape[0], -1))))


def batch_norm(p, at, x):
    """Normalized; the running statistics are part of the step too, so they are kept beside."""
    mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
    n = x.shape[0] * x.shape[1] * x.shape[2]
    new_states[at + ".running_mean"] = 0.9 * p[at + ".running_mean"] + 0.1 * mean
    new_states[at + ".running_var"] = 0.9 * p[at + ".running_var"] + 0.1 * var * n / (n - 1)
    return (x - mean) * jax.lax.rsqrt(var + 1e-5) * p[at + ".weight"] + p[at + ".bias"]


def residual(p, at, x, half):
    edge = ((1, 1), (1, 1))
    y = jax.nn.relu(batch_norm(p, at + ".bn1", conv(p, at + ".conv1", x, 2 if half else 1, edge)))
    y = batch_norm(p, at + ".bn2", conv(p, at + ".conv2", y, 1, edge))
    return jax.nn.relu(y + (batch_norm(p, at + ".norm", conv(p, at + ".downsample", x, 2, "VALID")) if half else x))


def resnet18(p, x):
    x = jax.nn.relu(batch_norm(p, "bn1", conv(p, "conv1", x.transpose(0, 2, 3, 1))))
    for i in range(8):
        x = residual(p, "layer%d_%d" % (i // 2 + 1, i % 2), x, i in (2, 4, 6))
    return linear(p, "fc", x.mean((1, 2)))


def mlp_wide(p, x):
    for i in range(1, 7):
        x = jax.nn.gelu(layer_norm(p, "l%d.norm" % i, linear(p, "l%d.fc" % i, x)), approximate=False)
    return x


def ffn_bound(p, x):
    for i in range(1, 5):
        h = layer_norm(p, "l%d.norm" % i, x)
        x = x + jax.nn.gelu(h, approximate=False) * jax.nn.softmax(h)
    return x


def gpt(heads):
    def block(x, p):
        b, t, d = x.shape
        q, k, v = jnp.moveaxis(linear(p, "att.qkv", layer_norm(p, "ln1", x)).reshape(b, t, 3, heads, d // heads), 2, 0)
        how = "cudnn" if on_gpu and PRECISION == "bf16" else "xla"
        seen = jax.nn.dot_product_attention(q, k, v, is_causal=True, implementation=how)
        x = x + linear(p, "att.proj", seen.reshape(b, t, d))
        return x + linear(p, "down", jax.nn.gelu(linear(p, "up", layer_norm(p, "ln2", x)), approximate=True))

    def forward(p, ids):
        x, layers = p["wte"][ids] + p["wpe"], 1 + max(int(k.split(".")[1]) for k in p if k.startswith("b."))
        for i in range(layers):
            at = "b.%d." % i
            x = block(x, {k[len(at):]: v for k, v in p.items() if k.startswith(at)})
        return narrow(layer_norm(p, "lnf", x)) @ narrow(p["wte"]).T
    return forward


def lstm(p, at, x):
    from_x = x @ p[at + ".weight_ih_l0"].T + p[at + ".bias_ih_l0"] + p[at + ".bias_hh_l0"]

    def turn(carry, now):
        h, c = carry
        i, f, g, o = jnp.split(now + h @ p[at + ".weight_hh_l0"].T, 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h
    zero = jnp.zeros((x.shape[0], 512), jnp.float32)
    return jax.lax.scan(turn, (zero, zero), from_x.swapaxes(0, 1))[1].swapaxes(0, 1)


def speller(p, ids):
    return linear(p, "fc", lstm(p, "lstm2", lstm(p, "lstm1", p["letters.weight"][ids])))


FORWARD = {"mlp_tiny": mlp(2), "mlp_mnist": mlp(3), "lenet": lenet, "resnet18": resnet18, "mlp_wide": mlp_wide, "ffn_bound": ffn_bound,
           "gpt_char": gpt(6), "gpt_char_f32": gpt(6), "gpt2": gpt(12), "lstm": speller}
STATES = ("running_mean", "running_var", "num_batches_tracked")
new_states = {}


def loss_of(params, states, x, y):
    new_states.clear()
    out = FORWARD[name]({**params, **states}, x).astype(jnp.float32)
    if y.dtype == jnp.int32:
        loss = -jnp.take_along_axis(jax.nn.log_softmax(out), y[..., None], -1).mean()
    else:
        loss = ((out - y) ** 2).mean()
    return loss, {**states, **new_states}


def adamw(p, g, m, v, t):
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    return p * (1 - 1e-3 * 0.01) - 1e-3 * (m / (1 - 0.9 ** t)) / (jnp.sqrt(v / (1 - 0.999 ** t)) + 1e-8), m, v


def step(params, states, m, v, t, x, y):
    (_, states), grads = jax.value_and_grad(loss_of, has_aux=True)(params, states, x, y)
    done = {k: adamw(params[k], grads[k], m[k], v[k], t) for k in params}
    return ({k: d[0] for k, d in done.items()}, states, {k: d[1] for k, d in done.items()}, {k: d[2] for k, d in done.items()}, t + 1)


def serve(params, states, x, y):
    begin = time.perf_counter()
    zeros = lambda: {k: jnp.zeros_like(p) for k, p in params.items()}
    state, play = (params, states, zeros(), zeros(), jnp.float32(1)), jax.jit(step, donate_argnums=(0, 1, 2, 3, 4))
    state = jax.block_until_ready(play(*state, x, y))
    first = time.perf_counter() - begin
    for _ in range(3):
        state = play(*state, x, y)
    jax.block_until_ready(state)
    print("ready %.3f" % first, flush=True)
    for line in sys.stdin:
        begin = time.perf_counter()
        for _ in range(int(line)):
            state = play(*state, x, y)
        jax.block_until_ready(state)
        seconds = time.perf_counter() - begin
        peak = jax.devices()[0].memory_stats()["peak_bytes_in_use"] if on_gpu else 0
        print("%.9g %d" % (seconds, peak), flush=True)


weights, batch = load_file(folder + "/weights.safetensors"), numpy.load(folder + "/batch.npz")
states = {k: jnp.asarray(v) for k, v in weights.items() if k.endswith(STATES)}
params = {k: jnp.asarray(v) for k, v in weights.items() if k not in states}
x, y = jnp.asarray(batch["x"]), jnp.asarray(batch["y"])
if mode == "grads":
    (loss, _), grads = jax.jit(jax.value_and_grad(loss_of, has_aux=True))(params, states, x, y)
    save_file({**{k: numpy.asarray(g) for k, g in grads.items()}, "loss": numpy.asarray(loss).reshape(())}, folder + "/jax.safetensors")
else:
    serve(params, states, x, y)
