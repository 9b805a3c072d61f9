"""What bench/run measured, as the table and the plot of docs/performance.md: written by it, never by hand."""
import datetime
import os
import re
import subprocess

BEGIN, END = "<!-- bench/run --write: %s -->", "<!-- end of %s -->"


def machine(target):
    """The device and the versions, as they say it themselves."""
    asked = {"cuda": ["nvidia-smi --query-gpu=name,driver_version --format=csv,noheader", "nvcc --version | sed -n 's/.*release \\([^,]*\\),.*/CUDA \\1/p'"],
             "c": ["sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1", "gcc --version | head -1"]}[target]
    said = [subprocess.run(line, shell=True, stdout=subprocess.PIPE, text=True).stdout.strip() for line in asked]
    for module in ("torch", "jax"):
        try:
            said.append("%s %s" % (module, __import__(module).__version__))
        except ImportError:
            pass
    return ", ".join(filter(None, said))


def table(rows):
    names = sorted({n for r in rows for n in r["steps"] if n != "mtc"}, key=lambda n: (n.split()[0] != "torch", n))
    floor = any("floor" in r for r in rows)
    lines = ["| model | mtc | " + " | ".join(names) + " | best over mtc |" + (" floor over mtc |" if floor else ""),
             "|---" * (3 + len(names) + floor) + "|"]
    for r in rows:
        cells = ["%.4g" % r["steps"][n]["ms"] if n in r["steps"] else "" for n in ["mtc"] + names]
        ratio = "%.2f (%.2f to %.2f)" % (r["ratio"], r["ratio_low"], r["ratio_high"]) if "ratio" in r else ""
        lines.append("| %s | %s | %s |" % (r["model"], " | ".join(cells), ratio) + (" %.0f%% |" % (100 * r["floor"]) if floor else ""))
    return "\n".join(lines)


def plot(rows):
    """Bars: how many times as fast as the best peer; a line at one."""
    rows = [r for r in rows if "ratio" in r]
    most = max([r["ratio"] for r in rows] + [1.5])
    width, left, bar = 640, 110, 22
    x = lambda ratio: left + ratio / most * (width - left - 60)
    out = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">' % (width, bar * len(rows) + 30)]
    for i, r in enumerate(rows):
        y = 6 + i * bar
        out.append('<text x="%d" y="%d" text-anchor="end">%s</text>' % (left - 8, y + 13, r["model"]))
        out.append('<rect x="%d" y="%d" width="%.1f" height="16" fill="%s"/>' % (left, y, x(r["ratio"]) - left, "#3a7" if r["ratio"] >= 1 else "#c65"))
        out.append('<text x="%.1f" y="%d">%.2f</text>' % (x(r["ratio"]) + 5, y + 13, r["ratio"]))
    out.append('<line x1="%.1f" y1="0" x2="%.1f" y2="%d" stroke="#444" stroke-dasharray="3"/>' % (x(1), x(1), bar * len(rows) + 8))
    out.append('<text x="%.1f" y="%d" text-anchor="middle">the best peer</text></svg>' % (x(1), bar * len(rows) + 22))
    return "\n".join(out) + "\n"


def write(rows, root):
    target = rows[0]["target"] if rows else "c"
    page = os.path.join(root, "docs/performance.md")
    picture = "performance-%s.svg" % target
    with open(os.path.join(root, "docs", picture), "w") as file:
        file.write(plot(rows))
    begin, end = BEGIN % target, END % target
    block = "%s\n%s, %s.  Median ms of a training step; the ratio is the median over the rounds (10th to 90th percentile).\n\n%s\n\n![times as fast as the best peer](%s)\n%s" % (
        begin, datetime.date.today().isoformat(), machine(target), table(rows), picture, end)
    text = open(page).read()
    found = re.search(re.escape(begin) + ".*?" + re.escape(end), text, re.S)
    text = text[:found.start()] + block + text[found.end():] if found else text.rstrip("\n") + "\n\n" + block + "\n"
    with open(page, "w") as file:
        file.write(text)
