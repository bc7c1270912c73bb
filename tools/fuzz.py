"""Does the reader of photos stay calm whatever it is given? Files of all formats, damaged at random, one after another.

For each there are two right answers: a picture, or a `PhotoError` that begins with the file's name. Anything else is a
finding: another error, a crash, more than ten seconds, more memory than the limit, or words on the screen. The file is
kept, and the exit code is 1. The same seed gives the same files.

    python tools/fuzz.py -n 20000 --seed 0
"""
import argparse, json, os, random, resource, select, struct, subprocess, sys, tempfile, zlib
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from memory import peak
from PIL import features, Image
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from colorize_lib.photo_colours import curve, make_icc, SRGB_CURVE
from colorize_lib.photo_headers import PhotoError
from colorize_lib.photo_notes import Notes
from colorize_lib.photo_writers import PACKINGS
from colorize_lib.photos import Photo, read_photo, save_photo

SECONDS = 10     # for one file
START = 60       # seconds for Python itself
GIGABYTES = 3    # of address space for the reader
BUDGET = "0.5"   # COLORIZE_MAX_GB: what the reader allows itself
NO_MEMORY = "needs more memory than there is"

# ---- whole files ----

def packed(im, form, **options):
    "The bytes of a file by Pillow"
    file = BytesIO()
    im.save(file, form, **options)
    return file.getvalue()

def annotated(folder):
    "Files with every kind of note, and with 16 bits, by our own writers: name -> bytes"
    notes = Image.Exif()
    notes[0x010E], notes[0x013B], notes[0x0112] = "Grandmother, 1931", "Ida", 6
    notes.get_ifd(0x8769).update({0x9003: "1931:05:01 10:00:00", 0x927C: b"maker" + bytes(40)})
    xmp = b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""/></rdf:RDF>'
    kept = Notes(xmp=xmp, iptc=b"\x1c\x02\x78\x00\x04Ida!", text=(("Comment", "box 7"),), dpi=(600, 600))
    deep = np.arange(0, 60_000, 60_000/(40*60)).astype(np.uint16).reshape(40, 60)
    found = {}
    suffixes = ["jpg", "png", "tif", "webp"] + ["avif"]*features.check("avif")
    for name, numbers in (("gray", None), ("deep", deep), ("colour", np.stack([deep]*3, 2))):
        image = Image.fromarray((deep//257).astype(np.uint8)).convert("RGB" if name == "colour" else "L")
        for packing in PACKINGS:
            photo = Photo(image, exif=notes.tobytes(), notes=kept, packing=packing, deep=numbers)
            for suffix in suffixes if packing == "raw" else ["tif"]:
                found[f"{name} {packing}.{suffix}"] = save_photo(photo, folder/f"a.{suffix}").read_bytes()
    return found

def bare():
    "Files by Pillow, without notes: name -> bytes"
    gray = Image.effect_noise((60, 40), 60)
    gray.paste(Image.linear_gradient("L").resize((60, 25)), (0, 0))
    colour = Image.merge("RGB", [gray, gray.rotate(180), gray])
    clear = colour.copy()
    clear.putalpha(gray)
    icc = make_icc(b"GRAY", {b"kTRC": curve(1.8)})
    films = dict(save_all=True, append_images=[gray.rotate(180)])
    found = {
        "gray.jpg": packed(gray, "JPEG", icc_profile=icc), "ink.jpg": packed(colour.convert("CMYK"), "JPEG"),
        "progressive.jpg": packed(colour, "JPEG", progressive=True), "two.mpo": packed(colour, "MPO"),
        "palette.png": packed(colour.quantize(16), "PNG", transparency=1), "la.png": packed(gray.convert("LA"), "PNG"),
        "bits.png": packed(gray.convert("1"), "PNG"), "clear.png": packed(clear, "PNG"),
        "still.gif": packed(gray, "GIF"), "film.gif": packed(gray, "GIF", **films), "rgb.bmp": packed(colour, "BMP"),
        "gray.bmp": packed(gray, "BMP"), "lossless.webp": packed(clear, "WEBP", lossless=True), "film.webp": packed(gray, "WEBP", **films),
        "p.pgm": packed(gray, "PPM"), "p.ppm": packed(colour, "PPM"), "p.pbm": packed(gray.convert("1"), "PPM"),
        "odd.pgm": b"P5\n60 40\n1000\n" + np.arange(2400, dtype=">u2").tobytes(), "bmp.bmp": rle_bmp(),
        "float.tif": packed(Image.fromarray(np.linspace(0, 1, 2400, dtype=np.float32).reshape(40, 60)), "TIFF"),
        "linear.tif": packed(gray, "TIFF", icc_profile=make_icc(b"GRAY", {b"kTRC": SRGB_CURVE})),
        "pages.tif": packed(gray, "TIFF", **films)}
    for way in ("group3", "group4"): found[f"{way}.tif"] = packed(gray.convert("1"), "TIFF", compression=way)
    found["jpeg.tif"] = packed(colour, "TIFF", compression="jpeg")
    if features.check("jpg_2000"): found["j.jp2"] = packed(colour, "JPEG2000")
    return found

def rle_bmp():
    "A BMP that packs runs of equal pixels"
    body = (b"\x3c\x50\0\0")*40 + b"\0\1"
    info = struct.pack("<IiiHHIIiiII", 40, 60, 40, 1, 8, 1, len(body), 0, 0, 0, 0)
    colours = b"".join(bytes((i, i, i, 0)) for i in range(256))
    return b"BM" + struct.pack("<IHHI", 54 + 1024 + len(body), 0, 0, 54 + 1024) + info + colours + body

@cache
def whole_files():
    "All of them, the same each time: name -> bytes"
    with tempfile.TemporaryDirectory() as folder: return annotated(Path(folder)) | bare()

# ---- damage ----

EXTREMES = (0, 1, 2, 127, 128, 255, 256, 32_767, 32_768, 65_535, 65_536, 2**31 - 1, 2**31, 2**32 - 1)

def flip_bits(data, rng, others):
    for _ in range(rng.choice((1, 1, 3, 20))): data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)

def cut_off(data, rng, others):
    del data[rng.randrange(1, len(data)):]

def change_a_number(data, rng, others):
    "Mostly in the header, where sizes, places and lengths stand"
    width = rng.choice((1, 2, 4))
    at = rng.randrange(min(len(data), rng.choice((60, 400, 10**6))))
    value = rng.choice((*EXTREMES, rng.randrange(2**32))) % 256**width
    data[at:at + width] = value.to_bytes(width, rng.choice(("big", "little")))

def block(data, rng):
    start = rng.randrange(len(data))
    return start, min(len(data), start + rng.choice((1, 4, 40, 400)))

def double_a_block(data, rng, others):
    start, end = block(data, rng)
    data[start:start] = data[start:end]*rng.choice((1, 1, 5))

def lose_a_block(data, rng, others):
    start, end = block(data, rng)
    if end - start < len(data): del data[start:end]

def splice(data, rng, others):
    "A piece of another file"
    other = others[rng.choice(sorted(others))]
    start, end = block(other, rng)
    at = rng.randrange(len(data))
    data[at:at + rng.choice((0, end - start))] = other[start:end]

DAMAGES = (flip_bits, cut_off, change_a_number, change_a_number, double_a_block, lose_a_block, splice)

def with_checksums(data):
    "A PNG whose checksums are right again, so that its damage gets past them"
    out, at = bytearray(data[:8]), 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        body = data[at + 4:at + 8 + length]
        out += data[at:at + 4] + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + length
    return bytes(out)

def damaged(seed, number):
    "(name, bytes) of one damaged file; the same numbers give the same file"
    rng = random.Random(f"{seed} {number}")
    files = whole_files()
    name = rng.choice(sorted(files))
    data = bytearray(files[name])
    for _ in range(rng.choice((1, 1, 2, 3))): rng.choice(DAMAGES)(data, rng, files)
    data = bytes(data)
    if data.startswith(b"\x89PNG") and rng.random() < .7: data = with_checksums(data)
    return name, data or b"\0"

# ---- one answer ----

def judged(path, read=read_photo):
    "(what the reader made of a file, what is wrong with that answer or an empty text)"
    try: photo = read(path, deep=True)
    except PhotoError as error:
        text = str(error)
        if not text.startswith(f"{path}: "): return "refused", f"a refusal without the file's name: {text}"
        return "refused", text if NO_MEMORY in text else ""
    except BaseException as error: return "error", f"{type(error).__name__}: {error}"
    sizes = {photo.image.size, photo.alpha.size if photo.alpha else photo.image.size}
    if photo.deep is not None: sizes.add(photo.deep.shape[1::-1])
    sound = photo.image.mode in ("L", "RGB") and len(sizes) == 1 and 0 not in photo.image.size
    return "read", "" if sound else f"an odd picture: {photo.image}, {sizes}"

def answer(seed):
    "The child: reads numbers, writes a line for each file"
    limit = int(GIGABYTES*1e9)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    with tempfile.TemporaryDirectory() as folder:
        for line in sys.stdin:
            name, data = damaged(seed, int(line))
            path = Path(folder)/name
            path.write_bytes(data)
            outcome, problem = judged(path)
            print(json.dumps([outcome, problem, peak()]), flush=True)

# ---- many answers ----

class Child:
    "A process that reads damaged files; a new one follows when it has died"
    def __init__(self, command):
        self.command = command
        self.screen = tempfile.TemporaryFile()
        self.process, self.seen = None, 0

    def ask(self, number, seconds):
        "[outcome, problem, peak of memory in bytes] for a damaged file"
        if self.process is None:
            environment = {**os.environ, "COLORIZE_MAX_GB": BUDGET, "OMP_NUM_THREADS": "1"}
            self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.screen, env=environment)
            seconds += START
        self.process.stdin.write(f"{number}\n".encode())
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        line = self.process.stdout.readline() if ready else b""
        if not line: return ["error", self.end("no answer after {} s" if not ready else "the process died, code {}", seconds), 0]
        outcome, problem, peak = json.loads(line)
        written = os.fstat(self.screen.fileno()).st_size
        if written > self.seen: problem = problem or f"{written - self.seen} bytes were written to the screen"
        self.seen = written
        return [outcome, problem, peak]

    def end(self, text="", seconds=0):
        "Stop the process; returns the text with the time or its exit code"
        if self.process is None: return ""
        if "answer" in text or not text: self.process.kill()
        code = self.process.wait()
        self.process = None
        return text.format(seconds if "answer" in text else code)

def run(count, seed, keep, seconds=SECONDS, command=None, hidden=False):
    "Tally of `count` damaged files; what is wrong goes into the folder `keep`"
    tally = dict(read=0, refused=0, error=0, findings=[], peak=0)
    child = Child(command or [sys.executable, __file__, "--child", "--seed", str(seed)])
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=hidden, transient=True) as progress:
        for number in progress.track(range(count), description="damaged files"):
            outcome, problem, peak = child.ask(number, seconds)
            tally[outcome] += 1
            tally["peak"] = max(tally["peak"], peak)
            if not problem: continue
            name, data = damaged(seed, number)
            keep.mkdir(parents=True, exist_ok=True)
            (keep/f"{seed}-{number} {name}").write_bytes(data)
            tally["findings"].append(f"{keep}/{seed}-{number} {name}: {problem}")
    child.end()
    return tally

def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-n", type=int, default=20_000, help="how many files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"), help="a folder for the files that are findings")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child: return answer(args.seed)
    tally = run(args.n, args.seed, args.keep)
    for finding in tally["findings"]: print(finding)
    print(f"{args.n} files, seed {args.seed}: {tally['read']} read, {tally['refused']} refused by name, "
          f"{len(tally['findings'])} findings; at most {tally['peak']/1e9:.2f} GB")
    sys.exit(1 if tally["findings"] else 0)

if __name__ == "__main__": main()
