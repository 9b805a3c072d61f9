#!/usr/bin/env python3
"""Attention on a GPU: values, gradients, repetition, sanitizers, times.

    make && python3 tests/gpu/attention.py build/bin/mtc OUT

Needs nvcc, compute-sanitizer and PyTorch with CUDA; CPATH and LIBRARY_PATH for
what trainers need besides (Random123, jansson, zip, zlib).  The kernels of
runtime/mtrt_attention.cuh, for float, tf32, bf16 and double, against PyTorch in
double over sizes that fill tiles and that do not; twice, bit for bit; the four
tools of compute-sanitizer over the same kernels.  Then trainers of a small GPT
against the C target, and times of `bench`.  OUT keeps what was built; ends with
a count.
"""
import concurrent.futures
import ctypes
import json
import os
import re
import subprocess
import sys

import torch

mtc, out = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
arch = re.search(r"-arch=\S+", subprocess.run([mtc, "--print=cuda-flags"], stdout=subprocess.PIPE, text=True).stdout).group(0)
include = os.path.join(root, "runtime")
os.makedirs(out, exist_ok=True)
KINDS = {  # C type, products, torch type, worst relative distance
    "f32": ("float", "MT_EXACT", torch.float32, 1e-5), "tf32": ("float", "MT_TF32", torch.float32, 2e-3),
    "bf16": ("MtBf16", "MT_EXACT", torch.bfloat16, 2e-2), "f64": ("double", "MT_EXACT", torch.float64, 1e-12)}
WIDTHS = (20, 64, 128)
SHAPES = ((3, 70, 70), (2, 200, 333), (2, 130, 64), (1, 1, 1), (4, 256, 256))  # heads, rows, columns
TOOLS = ("memcheck", "racecheck", "initcheck", "synccheck")

SOURCE = r"""
#include <stdarg.h>
#include <stdio.h>
#include "mtrt_cuda.cuh"
#include "mtrt_attention.cuh"
extern "C" void mt_fail(MtRun *run, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(run->error, sizeof run->error, format, args);
  va_end(args);
}
typedef TYPE T;
typedef MtMathOf<T, WIDTH, PRODUCTS>::Type::Real Real;
template <MtMask mask> static void all(MtRun *run, int which, int heads, int rows, int columns, double scale, T **x, Real **line) {
  if (which & 1) mt_attention<WIDTH, mask, PRODUCTS>(run, heads, rows, columns, scale, x[0], x[1], x[2], x[3]);
  if (which & 2) mt_attention_lse<WIDTH, mask, PRODUCTS>(run, heads, rows, columns, scale, x[0], x[1], line[0]);
  if (which & 4) mt_attention_dq<WIDTH, mask, PRODUCTS>(run, heads, rows, columns, scale, x[0], x[1], x[2], line[0], x[4], line[1], x[5]);
  if (which & 8) mt_attention_dkv<WIDTH, mask, PRODUCTS>(run, heads, rows, columns, scale, x[0], x[1], x[2], line[0], x[4], line[1], x[6], x[7]);
}
/* x: q, k, v, o, g, dq, dk, dv; line: lse, along.  0, or a CUDA error. */
extern "C" int call(int which, int causal, int heads, int rows, int columns, double scale, T **x, Real **line, void *stream) {
  MtRun run;
  memset(&run, 0, sizeof run);
  run.budget = -1, run.stream = stream;
  (causal ? all<MT_CAUSAL> : all<MT_FULL>)(&run, which, heads, rows, columns, scale, x, line);
  if (run.error[0]) fprintf(stderr, "%s\n", run.error);
  return (int)cudaGetLastError() || run.error[0];
}
extern "C" void mt_profile_begin(MtRun *, const char *) {}
extern "C" void mt_profile_end(MtRun *) {}
static void *filled(size_t n, size_t size) {
  void *memory;
  cudaMalloc(&memory, n * size);
  cudaMemset(memory, 0, n * size);
  return memory;
}
int main() { /* for the sanitizers: allocations of exactly what is needed */
  static const int sizes[][2] = {{70, 70}, {33, 90}, {90, 33}};
  for (int s = 0; s < 3; s++)
    for (int causal = 0; causal < 2; causal++) {
      const size_t q = 2 * sizes[s][0] * WIDTH, k = 2 * sizes[s][1] * WIDTH, of[] = {q, k, k, q, q, q, k, k};
      T *x[8];
      Real *line[2];
      for (int i = 0; i < 8; i++) x[i] = (T *)filled(of[i], sizeof(T));
      for (int i = 0; i < 2; i++) line[i] = (Real *)filled(2 * sizes[s][0], sizeof(Real));
      if (call(15, causal, 2, sizes[s][0], sizes[s][1], 0.3, x, line, 0)) return 1;
      cudaDeviceSynchronize();
      for (int i = 0; i < 8; i++) cudaFree(x[i]);
      for (int i = 0; i < 2; i++) cudaFree(line[i]);
    }
  return (int)cudaDeviceSynchronize();
}
"""

GPT = """use nn
dim B = 4, T = 80, V = 65, D = 192, H = 3, L = 2
data samples = random(rows: 16, seed: 1) -> { x: i32[B, T], y: i32[B, T] }
module Attention()(x: [B, T, D]) -> [B, T, D] {
  let q, k, v = (x |> qkv: Linear(3 * D)).[B, T, (3 H e) -> 3, B, H, T, e]
  let seen = scaled_dot_product_attention(q, k, v, causal: true)
  return seen.[B, H, T, e -> B, T, (H e)] |> proj: Linear(D)
}
module Block()(x: [B, T, D]) -> [B, T, D] {
  let a = x + (x |> ln1: LayerNorm() |> att: Attention())
  return a + (a |> ln2: LayerNorm() |> up: Linear(4 * D) |> gelu_tanh |> down: Linear(D))
}
module GPT()(ids: i32[B, T]) -> [B, T, V] {
  param wte: [V, D] = normal(0.2)
  let x = wte[ids]
  for b in stack(Block(), L) carry x { x = b(x) }
  return (x |> lnf: LayerNorm()) @ t(wte)
}
let net = GPT()
train d in samples for 10 steps with (precision: %s) {
  let loss = cross_entropy(net(d.x), d.y)
  update net minimize loss using adamw(lr: 1e-3)
  log loss
}
"""


def sh(line, folder=out, timeout=280):
    done = subprocess.run(line, shell=True, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout)
    if done.returncode:
        raise RuntimeError("$ %s\n%s" % (line, done.stdout[-1500:]))
    return done.stdout


def build_kernels(kind, width, program):
    source = SOURCE.replace("TYPE", KINDS[kind][0]).replace("WIDTH", str(width)).replace("PRODUCTS", KINDS[kind][1])
    name = "%s-%d" % (kind, width)
    with open("%s/%s.cu" % (out, name), "w") as file:
        file.write(source)
    how = "-o %s" % name if program else "-shared -Xcompiler -fPIC -o %s.so" % name
    sh("nvcc -O3 %s -I%s %s.cu %s" % (arch, include, name, how))
    return "%s/%s" % (out, name)


def build_trainer(name, text, target):
    folder = "%s/%s-%s" % (out, name, target)
    os.makedirs(folder, exist_ok=True)
    with open(folder + "/model.mt", "w") as file:
        file.write(text)
    source = "model.cu" if target == "cuda" else "model.c"
    sh("%s model.mt -o %s" % (mtc, source), folder)
    line = re.search(r"\b(nvcc|cc) -.*", open(folder + "/" + source).read(800)).group(0).replace("$(mtc ", "$(%s " % mtc)
    sh(line, folder)
    return folder


def run(library, which, causal, scale, x, lines):
    heads, rows, columns = x[0].shape[0], x[0].shape[1], x[1].shape[1]
    pointers = (ctypes.c_void_p * 8)(*[t.data_ptr() for t in x])
    line = (ctypes.c_void_p * 2)(*[t.data_ptr() for t in lines])
    stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
    if library.call(which, int(causal), heads, rows, columns, ctypes.c_double(scale), pointers, line, stream):
        raise RuntimeError("a kernel did not start")


def reference(q, k, v, g, scale, causal):
    q, k, v, g = (t.double().requires_grad_() for t in (q, k, v, g))
    score = scale * q @ k.transpose(1, 2)
    if causal:
        score = score.masked_fill(torch.ones_like(score).tril() == 0, -torch.inf)
    o = score.softmax(-1) @ v
    return [o.detach(), score.logsumexp(-1).detach(), *(t.detach() for t in torch.autograd.grad(o, (q, k, v), g))]


def distance(a, b):
    return float((a.double() - b).norm() / b.norm().clamp_min(1e-30))


def check_kernels(kind, path, width):
    """The worst relative distance of each of o, lse, dq, dk, dv; what was wrong."""
    library, dtype, worst, wrong = ctypes.CDLL(path + ".so"), KINDS[kind][2], [0.0] * 5, []
    wide = torch.float32 if dtype == torch.bfloat16 else dtype
    for heads, rows, columns in SHAPES:
        for causal in (False, True):
            torch.manual_seed(rows)
            q, g = (torch.randn(heads, rows, width, device="cuda", dtype=torch.float64).to(dtype) for _ in range(2))
            k, v = (torch.randn(heads, columns, width, device="cuda", dtype=torch.float64).to(dtype) for _ in range(2))
            scale = width ** -0.5
            want = reference(q, k, v, g, scale, causal)
            results = []
            for _ in range(2):
                x = [q, k, v, torch.full_like(q, torch.nan), g, *(torch.full_like(t, torch.nan) for t in (q, k, v))]
                lines = [torch.full((heads, rows), torch.nan, device="cuda", dtype=wide) for _ in range(2)]
                run(library, 3, causal, scale, x, lines)
                lines[1].copy_((x[3].to(wide) * g.to(wide)).sum(-1))
                run(library, 12, causal, scale, x, lines)
                results.append([x[3], lines[0], *x[5:]])
            torch.cuda.synchronize()
            for i, name in enumerate(("o", "lse", "dq", "dk", "dv")):
                if not torch.equal(*(r[i].view(torch.uint8) for r in results)):
                    wrong.append("%s of %s differs between two runs" % (name, (heads, rows, columns)))
                # a gradient that is 0 but for rounding is measured by what it was summed from: of one column, all of it
                least = 1e-3 if columns > 1 else 1
                size = want[i].norm().clamp_min(least * want[i].numel() ** 0.5 if i in (2, 3) else 1e-30)
                apart = float((results[0][i].double() - want[i]).norm() / size)
                worst[i] = max(worst[i], apart) if apart == apart else torch.inf
                if not apart <= KINDS[kind][3]:
                    wrong.append("%s of %s%s: %.1e" % (name, (heads, rows, columns), " causal" if causal else "", apart))
    return wrong, "o %.1e  lse %.1e  dq %.1e  dk %.1e  dv %.1e" % tuple(worst)


def sanitize(path):
    for tool in TOOLS:
        sh("compute-sanitizer --tool %s --error-exitcode 9 %s" % (tool, path))
    return [], "4 tools"


def check_trainers(folders):
    from safetensors.torch import load_file
    for target in ("cuda", "c"):
        sh("./model --quiet --seed 3 --stop-after 1 --dump-grads g.safetensors", folders[target])
    ours, want = (load_file(folders[t] + "/g.safetensors") for t in ("cuda", "c"))
    apart = {k: distance(ours[k], want[k].double()) for k in want if want[k].double().norm() > 1e-6}
    worst = max(apart, key=apart.get)
    free = {"f32": 1e-5, "tf32": 5e-3, "bf16": 3e-2}[folders["kind"]]
    return [] if apart[worst] <= free else ["%s: %.1e" % (worst, apart[worst])], "gradients within %.1e of the C target" % apart[worst]


def milliseconds(work):
    for _ in range(3):
        work()
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    for _ in range(20):
        work()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end) / 20


def time_kernels(path, kind, name, batch, heads, places, width):
    library, dtype = ctypes.CDLL(path + ".so"), KINDS[kind][2]
    q, k, v, g = (torch.randn(batch * heads, places, width, device="cuda").to(dtype) for _ in range(4))
    x = [q, k, v, torch.empty_like(q), g, *(torch.empty_like(q) for _ in range(3))]
    lines = [torch.zeros(batch * heads, places, device="cuda") for _ in range(2)]
    run(library, 3, True, width ** -0.5, x, lines)
    ours = [milliseconds(lambda: run(library, which, True, width ** -0.5, x, lines)) for which in (1, 2, 4, 8)]
    a, b, c = (t.view(batch, heads, places, width).detach().requires_grad_() for t in (q, k, v))
    attend = lambda: torch.nn.functional.scaled_dot_product_attention(a, b, c, is_causal=True)
    o = attend()
    forward = milliseconds(attend)
    backward = milliseconds(lambda: torch.autograd.grad(o, (a, b, c), g.view_as(o), retain_graph=True))
    work = 2 * batch * heads * places * places * width  # of two products, half of each hidden
    print("%-10s %-5s forward %.3f  lse %.3f  dq %.3f  dkv %.3f ms (%.0f TFLOP/s forward); PyTorch %.3f and %.3f"
          % (name, kind, *ours, work / ours[0] / 1e9, forward, backward), flush=True)


def bench(folder):
    text = sh("./model bench --json", folder)
    figures = json.loads(text[text.index("{"):])
    return [], json.dumps(figures)[:300]


failed = total = 0
with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    large = {name: pool.submit(build_trainer, name, open("%s/samples/benchmark/%s.mt" % (root, name)).read(), "cuda") for name in ("gpt2", "gpt_char")}
    small = {kind: {t: pool.submit(build_trainer, "gpt-" + kind, GPT % kind, t) for t in ("cuda", "c")} for kind in ("f32", "tf32", "bf16")}
    kernels = {(kind, width): pool.submit(build_kernels, kind, width, False) for width in WIDTHS for kind in KINDS}
    programs = {(kind, width): pool.submit(build_kernels, kind, width, True) for width in (20, 64) for kind in ("f32", "tf32", "bf16")}
    jobs = [("kernels %s of %d" % key, lambda key=key, made=made: check_kernels(key[0], made.result(), key[1])) for key, made in kernels.items()]
    jobs += [("sanitizers %s of %d" % key, lambda made=made: sanitize(made.result())) for key, made in programs.items()]
    jobs += [("trainer " + kind, lambda kind=kind, made=made: check_trainers(dict({t: m.result() for t, m in made.items()}, kind=kind))) for kind, made in small.items()]
    jobs += [("bench " + name, lambda made=made: bench(made.result())) for name, made in large.items()]
    for name, job in jobs:
        try:
            wrong, said = job()
        except Exception as error:
            wrong, said = [str(error)], ""
        total += 1
        failed += bool(wrong)
        print("%-22s %-5s %s" % (name, "FAIL" if wrong else "ok", "; ".join(wrong[:4] + [said])), flush=True)
    for kind in ("bf16", "tf32", "f32"):
        path = kernels[kind, 64].result()
        time_kernels(path, kind, "gpt_char", 64, 6, 256, 64)
        time_kernels(path, kind, "gpt2", 16, 12, 1024, 64)
print("%d passed, %d failed" % (total - failed, failed))
sys.exit(failed > 0)
