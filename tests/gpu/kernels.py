#!/usr/bin/env python3
"""Every template of kernels on a GPU: golden models, loops, phases and states.

    make && python3 tests/gpu/kernels.py build/bin/mtc OUT

Needs nvcc, compute-sanitizer, numpy and the safetensors package.  Each model
trains for C and for CUDA from the same weights: losses, logs and the gradients
of the first batch agree within rounding, two runs on the GPU agree bit for bit,
and the four tools of compute-sanitizer have nothing to say.  Samples train to
their stated quality.  OUT keeps the logs; ends with a count.
"""
import concurrent.futures
import csv
import glob
import math
import os
import re
import shutil
import subprocess
import sys

import numpy
from safetensors.numpy import load_file

mtc, out = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
tests = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
samples = os.path.join(os.path.dirname(tests), "samples")
# of cuBLAS's kernels racecheck reports what their own barriers order
TOOLS = ("memcheck", "racecheck --kernel-regex-exclude kns=nvjet --kernel-regex-exclude kns=cutlass", "initcheck", "synccheck")
SAMPLES = {  # with sizes that a sanitizer can stand
    "digits-cnn": "", "vae": "", "wgan-gp": "", "pinn": "", "sonnets": "", "glyphs-cnn": "", "names-rnn": "", "temperature-lstm": "",
    "resnet18": "-D B=8 -D S=32", "gpt2": "-D L=2 -D D=64 -D H=4 -D T=64 -D V=512 -D B=2",
}
COMPARED = {"resnet18": "--stop-after 5 --lr 1e-3"}  # of eight rows: at its own rate C with and without fused multiply-adds is 4e-4 apart at the third step, so 2e-6 at the fifth
QUALITY = {  # the last number behind a word that the trainer prints: at least, at most
    "digits-cnn": ("accuracy ", 0.985, 1), "glyphs-cnn": ("accuracy ", 0.98, 1), "vae": ("bound ", 15, 23), "pinn": ("error ", 0, 0.01),
    "wgan-gp": ("distance ", 0, 4), "sonnets": ("loss ", 0.05, 0.6), "names-rnn": ("nats ", 1.8, 2.05), "temperature-lstm": ("rmse ", 1.5, 2.5),
}
FREE = {"bf16": 3e-2, "tf32": 5e-3}  # how far targets may be apart at a precision


def find_models():
    found = {}
    for path in sorted(glob.glob(tests + "/golden/steps/*/model.mt")):
        if "random(" in open(path).read():
            found[os.path.basename(os.path.dirname(path))] = path
    for path in sorted(glob.glob(tests + "/random/kept/*/m.mt")):
        found[os.path.basename(os.path.dirname(path))] = path
    for name in ("gan", "twice"):
        found[name] = "%s/pytorch/%s/model.mt" % (tests, name)
    for sample in SAMPLES:
        found[sample] = "%s/%s.mt" % (samples, sample)
    return found


def sh(line, folder, timeout=500):
    done = subprocess.run(line, shell=True, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout)
    return done.returncode, done.stdout


def must(line, folder):
    status, text = sh(line, folder)
    if status:
        raise RuntimeError("$ %s\n%s" % (line, text[-1500:]))
    return text


def build(folder, source, sizes):
    must("%s model.mt %s -o %s" % (mtc, sizes, source), folder)
    line = re.search(r"\b(nvcc|cc) -.*", open(os.path.join(folder, source)).read(800)).group(0)
    line = line.replace("$(mtc ", "$(%s " % mtc).replace("-o model", "-o trainer_" + source.split(".")[1])
    must(line, folder)


def prepare(name, path):
    """The model, its data and trainers of both targets, in a folder of its own."""
    folder = os.path.join(out, "work", name)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(os.path.dirname(path), folder, ignore=shutil.ignore_patterns("*.ir", "*.c", "*.cu"))
    with open(path) as model, open(os.path.join(folder, "model.mt"), "w") as copy:
        copy.write(re.sub(r'tokens\("[^)]*\)', "random(rows: 16, seed: 1)", model.read()))  # tokens are not shipped
    for source in ("model.c", "model.cu"):
        build(folder, source, SAMPLES.get(name, ""))
    return folder


def columns(folder):
    with open(os.path.join(folder, "metrics.csv")) as file:
        rows = list(csv.DictReader(file))
    return {k: [float(r[k]) if r[k] else math.nan for r in rows] for k in rows[0] if k not in ("step", "epoch")}


def distance(a, b):
    """Of two archives: the worst relative distance of a tensor."""
    worst = 0.0
    for k in b:
        x, y = a[k].astype("f8"), b[k].astype("f8")
        size = max(numpy.linalg.norm(y), 1e-3 * math.sqrt(y.size))
        worst = max(worst, numpy.linalg.norm(x - y) / size)
    return worst


def check(name, folder):
    """What went wrong with one model; empty: nothing."""
    common = "--quiet --seed 3 --no-shuffle --log-every 1"
    text = open(folder + "/model.mt").read()
    wrong, free = [], next((v for k, v in FREE.items() if "precision: " + k in text), 2e-4)
    for target, save in (("c", "c"), ("cu", "cu"), ("cu", "cu2")):
        must("./trainer_%s %s %s --save-dir %s" % (target, common, COMPARED.get(name, "--stop-after 10"), save), folder)
    for target in ("c", "cu"):
        must("./trainer_%s %s --save-dir g_%s --dump-grads g_%s.safetensors" % (target, common, target, target), folder)
    ours, want = columns(os.path.join(folder, "cu")), columns(os.path.join(folder, "c"))
    for column in want:
        pairs = zip(ours[column], want[column])  # an empty cell: not asked at this step
        worst = max((abs(a - b) / max(abs(b), 1e-2) for a, b in pairs if a == a or b == b), default=0)
        if not worst <= free:
            wrong.append("%s differs by %.1e" % (column, worst))
    apart = distance(load_file(folder + "/g_cu.safetensors"), load_file(folder + "/g_c.safetensors"))
    if not apart <= free:
        wrong.append("gradients differ by %.1e" % apart)
    for file in glob.glob(folder + "/cu/*.checkpoint.safetensors") + [folder + "/cu/metrics.csv"]:
        if open(file, "rb").read() != open(file.replace("/cu/", "/cu2/"), "rb").read():
            wrong.append("two runs differ in " + os.path.basename(file))
    for tool in TOOLS:
        status, text = sh("compute-sanitizer --tool %s --error-exitcode 9 ./trainer_cu %s --stop-after 2 --save-dir s_%s" % (tool, common, tool.split()[0]), folder)
        if status:
            wrong.append("%s: %s" % (tool, text[-600:]))
    return wrong, "gradients within %.1e" % apart


def train(name, folder):
    """Trains a sample to its end: what was wrong, what it came to."""
    word, least, most = QUALITY[name]
    text = must("./trainer_cu --save-dir whole", folder)
    value = float(re.findall(re.escape(word) + r"([0-9.e+-]+)", text)[-1])
    return [] if least <= value <= most else ["not within %g and %g" % (least, most)], word + "%g" % value


models, failed = find_models(), 0
with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    folders = {name: pool.submit(prepare, name, path) for name, path in models.items()}
    work = {name: pool.submit(lambda name=name: check(name, folders[name].result())) for name in models}
    work.update({name + ", trained": pool.submit(lambda name=name: train(name, folders[name].result())) for name in QUALITY})
    for name, job in work.items():
        try:
            wrong, said = job.result()
        except Exception as error:
            wrong, said = [str(error)], ""
        failed += bool(wrong)
        print("%-34s %-5s %s" % (name, "FAIL" if wrong else "ok", "; ".join(wrong + [said])), flush=True)
print("%d passed, %d failed" % (len(work) - failed, failed))
sys.exit(failed > 0)
