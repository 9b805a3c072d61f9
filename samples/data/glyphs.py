#!/usr/bin/python3
"""Make glyphs-*.idx.gz beside this script: the digits of Debian's free fonts as pictures of 28x28 grey pixels.

    apt install python3-pil fonts-dejavu-core fonts-liberation ...   (PACKAGES, below)
    /usr/bin/python3 samples/data/glyphs.py [folder of fonts, /usr/share/fonts by default]

The files are committed, so nobody has to run this; it records how they were
made.  Of every outline face each digit is drawn twice: upright, and turned by
up to 12 degrees at a smaller size, off the middle.  Grey is one of 16 levels,
which halves the files.  A family is wholly in one of the two sets.  Those of
TEST are designs of their own: a split at random would test Nimbus Roman by
FreeSerif, which has its outlines, and Carlito by Lato, of which it was made.
"""
import gzip
import os
import random
import struct
import sys

from PIL import Image, ImageDraw, ImageFont

PACKAGES = """fonts-dejavu-core fonts-liberation fonts-roboto-unhinted fonts-lato fonts-open-sans fonts-freefont-ttf
fonts-cantarell fonts-gfs-didot fonts-quicksand fonts-comic-neue fonts-ebgaramond fonts-crosextra-carlito fonts-hack
fonts-inconsolata fonts-fantasque-sans fonts-courier-prime fonts-linuxlibertine fonts-sil-gentium fonts-vollkorn
fonts-league-spartan fonts-play fonts-jura fonts-urw-base35 fonts-averia-sans-gwf fonts-averia-serif-gwf fonts-cabin
fonts-oxygen fonts-b612 fonts-jetbrains-mono fonts-monofur fonts-mononoki fonts-crosextra-caladea fonts-firacode
fonts-humor-sans"""
TEST = ("B612", "Cabin", "Caladea", "Comic Neue", "EB Garamond", "JetBrains Mono", "Oxygen", "Quicksand", "Vollkorn")
PICTURES = ("D050000L", "Linux Biolinum Keyboard O")  # what stands in the place of a digit is none, or is on a key
SIZE, LARGE, EDGE = 28, 112, 4  # drawn four times as large, then made smaller

here = os.path.dirname(os.path.abspath(__file__))
folder = sys.argv[1] if len(sys.argv) > 1 else "/usr/share/fonts"
random.seed(1)


def files():
    for at, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if name.endswith((".ttf", ".otf")):
                yield os.path.join(at, name)


def families():
    """Family -> faces; a face that draws two digits alike has none of them."""
    found, seen = {}, set()
    for path in files():
        face = ImageFont.truetype(path, 80)
        family, style = face.getname()
        drawn = {bytes(face.getmask(digit)) for digit in "0123456789\ufffe"}
        if len(drawn) == 11 and (family, style) not in seen and family not in PICTURES:
            seen.add((family, style))
            found.setdefault(family, []).append(face)
    return found


def picture(face, digit, turned):
    sheet = Image.new("L", (2 * LARGE, 2 * LARGE))
    ImageDraw.Draw(sheet).text((LARGE, LARGE), digit, 255, font=face, anchor="mm")
    if turned:
        sheet = sheet.rotate(random.uniform(-12, 12), Image.BICUBIC)
    sheet = sheet.crop(sheet.getbbox())
    room = SIZE - 2 * EDGE - (random.randint(0, 4) if turned else 0)
    scale = room / max(sheet.size)
    small = sheet.resize([max(1, round(s * scale)) for s in sheet.size], Image.LANCZOS)
    out = Image.new("L", (SIZE, SIZE))
    shift = [random.randint(-2, 2) if turned else 0 for _ in range(2)]
    out.paste(small, tuple((SIZE - s) // 2 + d for s, d in zip(small.size, shift)))
    return bytes(v // 16 * 17 for v in out.tobytes())


def write(name, shape, data):
    with open(os.path.join(here, name), "wb") as file:
        with gzip.GzipFile("", "wb", 9, file, mtime=0) as out:
            out.write(struct.pack(">HBB%dI" % len(shape), 0, 8, len(shape), *shape) + data)


def save(name, faces):
    rows = [(picture(face, str(digit), turned), digit) for turned in (False, True) for face in faces for digit in range(10)]
    random.shuffle(rows)
    write("glyphs-%s-images.idx.gz" % name, [len(rows), SIZE, SIZE], b"".join(p for p, _ in rows))
    write("glyphs-%s-labels.idx.gz" % name, [len(rows)], bytes(d for _, d in rows))
    print(name, len(faces), "faces,", len(rows), "pictures")


found = families()
print(len(found), "families:", ", ".join(sorted(found)))
for part, wanted in ("train", False), ("test", True):
    save(part, [face for family in sorted(found) if family.startswith(TEST) == wanted for face in found[family]])
