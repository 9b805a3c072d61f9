#!/usr/bin/python3
"""Make names-train.txt and names-test.txt beside this script.

    pip download --no-deps --no-binary :all: names==0.3.0 && tar xzf names-0.3.0.tar.gz
    /usr/bin/python3 samples/data/census.py names-0.3.0/names

First names of the United States' census of 1990 (dist.female.first and
dist.male.first), each once, in small letters, one a line, in an order drawn
once; every tenth is kept back.  The files are committed, so nobody has to run
this; it records how they were made.
"""
import os
import random
import sys

here = os.path.dirname(os.path.abspath(__file__))
names = set()
for part in ("female", "male"):
    with open(os.path.join(sys.argv[1], "dist.%s.first" % part)) as file:
        names |= {line.split()[0].lower() for line in file if line.strip()}
names = sorted(names)
random.Random(1).shuffle(names)
for part, chosen in (("train", [n for i, n in enumerate(names) if i % 10]), ("test", names[::10])):
    with open(os.path.join(here, "names-%s.txt" % part), "w") as out:
        out.write("\n".join(chosen) + "\n")
    print(part, len(chosen))
