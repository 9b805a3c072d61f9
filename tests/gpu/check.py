#!/usr/bin/env python3
"""Everything that only a GPU can show, in one run.

    make && python3 tests/gpu/check.py build/bin/mtc OUT

Needs nvcc, PyTorch with CUDA, the safetensors package and compute-sanitizer.
Trains the samples, compares losses and gradients with the C target and with
PyTorch from the same weights, runs the same training twice, runs the four
tools of compute-sanitizer over every sample, times the benchmark models, and
ends with a table.  OUT keeps the logs.
"""
import csv
import json
import os
import re
import statistics
import subprocess
import sys
import time

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

mtc, out = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
quick = "--quick" in sys.argv
root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
samples = os.path.join(root, "samples")
work = os.path.join(out, "work") if not os.environ.get("WORK") else os.environ["WORK"]
os.makedirs(work, exist_ok=True)
os.chdir(work)
rows = []
# of cuBLAS's kernels racecheck reports what their own barriers order
TOOLS = ("memcheck", "racecheck --kernel-regex-exclude kns=nvjet --kernel-regex-exclude kns=cutlass", "initcheck", "synccheck")


def note(name, ok, text):
    rows.append((name, ok, text))
    print("%-34s %-5s %s" % (name, "ok" if ok else "FAIL", text), flush=True)


def sh(line, timeout=300):
    done = subprocess.run(line, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout)
    if done.returncode:
        print("$ %s\n%s" % (line, done.stdout[-3000:]), flush=True)
    return done.returncode, done.stdout


def build(model, target, name):
    """The trainer of a sample or of a file here, built by the line that its own first comment gives."""
    source = name + (".cu" if target == "cuda" else ".c")
    path = model if model.endswith(".mt") else "%s/%s.mt" % (samples, model)
    status, text = sh("%s %s -o %s" % (mtc, path, source))
    if status:
        return False
    head = open(source).read(600)
    line = re.search(r"\b(nvcc|cc) -.*", head).group(0).strip()
    line = line.replace("$(mtc ", "$(%s " % mtc)
    begin = time.time()
    status, text = sh(line)
    print("    %s: %s  (%.1f s)" % (name, line, time.time() - begin), flush=True)
    return status == 0


def losses(folder):
    with open(os.path.join(folder, "metrics.csv")) as file:
        return [float(row["loss"]) for row in csv.DictReader(file) if row.get("loss")]


def relative(a, b):
    return (a.double() - b.double()).norm().item() / max(b.double().norm().item(), 1e-300)


# ---- digits: accuracy, repeatability, parity ----
data = "--data-dir %s --quiet" % samples
built = build("digits", "cuda", "digits") and os.rename("digits", "digits_cuda") is None
built = build("digits", "c", "digits") and os.rename("digits", "digits_c") is None and built
note("digits builds", built, "by the line of its first comment")
for seed in (1, 2, 3):
    sh("./digits_cuda %s --seed %d --save-dir seed%d" % (data, seed, seed))
    status, text = sh("./digits_cuda eval --json --data-dir %s --save-dir seed%d --init seed%d/net.best.safetensors" % (samples, seed, seed))
    found = re.findall(r'"accuracy": *([0-9.]+)', text)
    note("digits accuracy, seed %d" % seed, bool(found) and float(found[-1]) >= 0.96, found[-1] if found else text[-200:])
sh("./digits_cuda %s --seed 1 --save-dir again" % data)
same = all(torch.equal(v, load_file("again/net.best.safetensors")[k]) for k, v in load_file("seed1/net.best.safetensors").items())
note("digits repeats bit for bit", same, "30 epochs twice")


class Digits(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = torch.nn.Linear(64, 128)
        self.fc2 = torch.nn.Linear(128, 10)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x / 16)))


torch.backends.cuda.matmul.allow_tf32 = False
torch.manual_seed(0)
twin = Digits().double()
save_file({k: v.float() for k, v in twin.state_dict().items()}, "start.safetensors", {"format": "pt"})
twin.load_state_dict({k: v.double() for k, v in load_file("start.safetensors").items()})
import gzip
table = [list(map(float, line.split(","))) for line in gzip.open(samples + "/data/digits-train.csv.gz", "rt").read().split("\n")[1:] if line]
table = torch.tensor(table, dtype=torch.float64)
x, y = table[:, :64], table[:, 64].long()


def train_twin(model, x, y, steps):
    """The schedule and optimizer of digits.mt, without shuffling."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.01)
    total, found, step = 30 * 23, [], 0
    import math
    while step < steps:
        for i in range(0, len(x), 64):
            if step == steps:
                break
            lr = 1e-2 * (step + 1) / 50 if step < 50 else 1e-2 / 2 * (1 + math.cos(math.pi * (step - 50) / (total - 50)))
            optimizer.param_groups[0]["lr"] = lr
            loss = F.cross_entropy(model(x[i:i + 64]), y[i:i + 64])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            found.append(loss.item())
            step += 1
    return found


common = "%s --no-shuffle --log-every 1 --epochs 30 --stop-after 100 --init start.safetensors" % data
sh("./digits_cuda %s --save-dir steps_cuda" % common)
sh("./digits_c %s --save-dir steps_c" % common)
reference = train_twin(twin, x, y, 100)
for name in ("cuda", "c"):
    ours = losses("steps_" + name)
    worst = max((abs(a - b) / abs(b) for a, b in zip(ours, reference)), default=9)
    note("100 losses, %s against PyTorch f64" % name, len(ours) == 100 and worst <= 1e-4, "%d steps, worst %.1e" % (len(ours), worst))
ours_c, ours_cuda = losses("steps_c"), losses("steps_cuda")
worst = max((abs(a - b) / abs(b) for a, b in zip(ours_cuda, ours_c)), default=9)
note("100 losses, cuda against c", len(ours_c) == len(ours_cuda) == 100 and worst <= 1e-4, "worst %.1e" % worst)

twin.load_state_dict({k: v.double() for k, v in load_file("start.safetensors").items()})
twin.zero_grad()
F.cross_entropy(twin(x[:64]), y[:64]).backward()
for name in ("cuda", "c"):
    sh("./digits_%s %s --no-shuffle --init start.safetensors --dump-grads grads_%s.safetensors" % (name, data, name))
    grads = load_file("grads_%s.safetensors" % name)
    worst = max(relative(grads["net." + k], p.grad) for k, p in twin.named_parameters())
    note("first gradients, %s" % name, worst <= 1e-5, "worst %.1e" % worst)
status, text = sh("./digits_cuda gradcheck --data-dir %s" % samples)
note("gradcheck on the GPU", status == 0, text.strip().split("\n")[-1][:80])

# ---- bf16 and tf32: trained, repeated, and gradients as near to float64 as PyTorch's at that precision ----
FFN = """use nn
dim B = 512, D = 512, H = 2048
data s = npz("ffn.npz") -> { x: f32[B, D], y: f32[B, D] }
module Net()(x: [B, D]) -> [B, D] {
  return x + (x |> norm: LayerNorm() |> up: Linear(H) |> gelu |> down: Linear(D))
}
let net = Net()
train d in s for 20 steps with (precision: %s) {
  let loss = mse(net(d.x), d.y)
  update net minimize loss using adamw(lr: 1e-3)
  log loss
}
"""


class Ffn(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.up, self.down = torch.nn.LayerNorm(512), torch.nn.Linear(512, 2048), torch.nn.Linear(2048, 512)

    def forward(self, x):
        return x + self.down(F.gelu(self.up(self.norm(x))))


def gradients(model, weights, loss, x, y, dtype, precision):
    """PyTorch's, on the GPU: of one batch, in float64 or in float at a precision."""
    model.load_state_dict({k: v.to(dtype) for k, v in weights.items()})
    model = model.to("cuda", dtype)
    model.zero_grad()
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    with torch.autocast("cuda", dtype=torch.bfloat16, enabled=precision == "bf16"):
        value = loss(model(x.to("cuda", dtype)), y.cuda() if y.dtype == torch.long else y.to("cuda", dtype))
    value.backward()
    torch.backends.cuda.matmul.allow_tf32 = False
    return {k: p.grad.detach().cpu() for k, p in model.named_parameters()}


import numpy
numpy.random.seed(1)
ffn_x, ffn_y = (torch.tensor(numpy.random.randn(1024, 512), dtype=torch.float32) for _ in range(2))
numpy.savez("ffn.npz", x=ffn_x.numpy(), y=ffn_y.numpy())
torch.manual_seed(1)
ffn_start = {k: v.clone() for k, v in Ffn().state_dict().items()}
save_file(ffn_start, "ffn_start.safetensors", {"format": "pt"})
start = load_file("start.safetensors")
precise = {  # name: text at a precision, --data-dir, model, first weights and their file, loss, first batch
    "digits": (open(samples + "/digits.mt").read().replace("for 30 epochs {", "for 30 epochs with (precision: %s) {"), samples,
               Digits, start, "start.safetensors", F.cross_entropy, x[:64], y[:64]),
    "ffn": (FFN, work, Ffn, ffn_start, "ffn_start.safetensors", F.mse_loss, ffn_x[:512], ffn_y[:512]),
}
for model, (text, folder, twin_of, weights, init, loss, first_x, first_y) in precise.items():
    exact = gradients(twin_of(), weights, loss, first_x, first_y, torch.float64, "f64")
    for precision in ("bf16", "tf32"):
        name = "%s_%s" % (model, precision)
        with open(name + ".mt", "w") as file:
            file.write(text % precision)
        if not build(name + ".mt", "cuda", name):
            note(name + " builds", False, "")
            continue
        for again in ("1", "2"):
            sh("./%s --data-dir %s --quiet --seed 1 --save-dir %s.%s" % (name, folder, name, again))
        a, b = (load_file("%s.%s/net.safetensors" % (name, again)) for again in ("1", "2"))
        note(name + " repeats bit for bit", all(torch.equal(a[k], b[k]) for k in a), "the whole training twice")
        if model == "digits":
            status, said = sh("./%s eval --json --data-dir %s --save-dir %s.1 --init %s.1/net.best.safetensors" % (name, folder, name, name))
            found = re.findall(r'"accuracy": *([0-9.]+)', said)
            note(name + " accuracy", bool(found) and float(found[-1]) >= 0.98, found[-1] if found else said[-200:])
        else:
            found = losses(name + ".1")
            note(name + " loss falls", len(found) > 1 and found[-1] < found[0], "%s" % found[-3:])
        sh("./%s --data-dir %s --no-shuffle --init %s --save-dir %s.grads --dump-grads %s.grads.safetensors" % (name, folder, init, name, name))
        ours = load_file(name + ".grads.safetensors")
        theirs = gradients(twin_of(), weights, loss, first_x, first_y, torch.float32, precision)
        worst, ok = "", True
        for k in exact:
            mine, own = relative(ours["net." + k], exact[k]), relative(theirs[k], exact[k])
            fine = mine <= 1.5 * own + 1e-6
            ok = ok and fine
            worst += "%s %.1e (PyTorch %.1e)%s  " % (k, mine, own, "" if fine else " !")
        note(name + " gradients", ok, worst)
        status, said = sh("./%s bench --data-dir %s --json" % (name, folder))
        line = next((l for l in said.split("\n") if l.startswith("{")), None)
        note("bench " + name, status == 0 and line is not None, line or said[-200:])
        if quick:
            continue
        bad = [tool for tool in TOOLS
               if sh("compute-sanitizer --tool %s --error-exitcode 9 ./%s --data-dir %s --quiet --steps 2 --save-dir %s.clean" % (tool, name, folder, name), 500)[0]]
        note("compute-sanitizer " + name, not bad, "clean" if not bad else "fails: " + ", ".join(bad))
status, text = sh("./digits_bf16 gradcheck --data-dir %s" % samples)
note("gradcheck of digits_bf16", status == 0, text.strip().split("\n")[-1][:80])
# a tuned bf16 run, stopped and resumed: the choices of algorithms are of bf16 products too
sh("./digits_bf16 %s --tune --epochs 4 --save-dir bf16.tuned && ./digits_bf16 %s --tune --epochs 4 --stop-after 40 --save-dir bf16.halves && "
   "./digits_bf16 %s --resume --epochs 4 --save-dir bf16.halves" % (data, data, data))
whole, halves = load_file("bf16.tuned/net.safetensors"), load_file("bf16.halves/net.safetensors")
distance = max(relative(halves[k], whole[k]) for k in whole)
note("bf16 tuned, stopped and resumed", distance < 5e-2, "weights differ by %.1e" % distance)

# ---- the other models build, run, are clean, and are timed ----
models = {"mlp_tiny": 2000, "mlp_mnist": 1000, "ffn_bound": 60, "mlp_wide": 30}
for model in models:
    ok = build("benchmark/" + model, "cuda", model)
    note(model + " builds", ok, "")
build("regression", "cuda", "regression")
runs = {"digits_cuda": "%s --steps 3 --save-dir sanitize1" % data, "regression": "%s --steps 3 --save-dir sanitize2" % data, "mlp_tiny": "bench --steps 2", "mlp_mnist": "bench --steps 2"}
if not quick:
    for tool in TOOLS:
        bad = []
        for program, args in runs.items():
            status, text = sh("compute-sanitizer --tool %s --error-exitcode 9 ./%s %s" % (tool, program, args), 500)
            if status:
                bad.append(program)
        note("compute-sanitizer " + tool, not bad, "clean on " + ", ".join(runs) if not bad else "fails on " + ", ".join(bad))
# choices of algorithms: timed, kept by the checkpoint, and the resumed run ends with the bits of the whole one
sh("./digits_cuda %s --tune --epochs 4 --save-dir tuned" % data)
sh("./digits_cuda %s --tune --epochs 4 --stop-after 40 --save-dir halves" % data)
status, text = sh("./digits_cuda %s --resume --epochs 4 --save-dir halves" % data)
whole, halves = load_file("tuned/net.safetensors"), load_file("halves/net.safetensors")
distance = max(relative(halves[k], whole[k]) for k in whole)
note("tuned, stopped and resumed", status == 0 and distance < 1e-3, "weights differ by %.1e" % distance)
sh("./digits_cuda %s --epochs 4 --stop-after 40 --save-dir plain && ./digits_cuda %s --resume --epochs 4 --save-dir plain && ./digits_cuda %s --epochs 4 --save-dir undisturbed" % (data, data, data))
a, b = load_file("plain/net.safetensors"), load_file("undisturbed/net.safetensors")
note("stopped and resumed, bit for bit", all(torch.equal(a[k], b[k]) for k in a), "4 epochs in two parts")
for model in ("mlp_tiny", "mlp_mnist", "mlp_wide"):
    status, text = sh("./%s bench --tune --steps %d --json" % (model, models[model]))
    line = next((l for l in text.split("\n") if l.startswith("{")), None)
    note("bench %s, tuned" % model, status == 0 and line is not None, line or text[-200:])
for model, steps in models.items():
    status, text = sh("./%s bench --steps %d --json" % (model, steps))
    line = next((l for l in text.split("\n") if l.startswith("{")), None)
    note("bench " + model, status == 0 and line is not None, line or text[-200:])
sh("nvidia-smi --query-gpu=name,driver_version --format=csv,noheader; nvcc --version | tail -2")
failed = [r for r in rows if not r[1]]
print("%d passed, %d failed" % (len(rows) - len(failed), len(failed)))
with open(os.path.join(out, "check.txt"), "w") as file:
    for r in rows:
        file.write("%-34s %-5s %s\n" % (r[0], "ok" if r[1] else "FAIL", r[2]))
sys.exit(1 if failed else 0)
