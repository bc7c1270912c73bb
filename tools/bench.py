"""How fast is it? Every figure beside what it is compared with, measured in turns on the same machine (`make bench`).

Ratios are medians over rounds in which both sides run one after the other, so a busy machine slows both.
"""
import argparse, json, os, shutil, subprocess, sys, tempfile, time, warnings
from io import BytesIO
from pathlib import Path
from statistics import median

import numpy as np


def in_turns(rounds, **sides):
    "Median seconds of each function; one unmeasured call each, then `rounds` rounds with the sides in turn"
    times = {name: [] for name in sides}
    for f in sides.values(): f()
    for _ in range(rounds):
        for name, f in sides.items():
            start = time.perf_counter()
            f()
            times[name].append(time.perf_counter() - start)
    return {name: median(t) for name, t in times.items()}


def networks():
    from colorize_lib.transfer import thesis_generator
    from colorize_lib.weights import build_generator
    with warnings.catch_warnings(action="ignore"): return build_generator("compact"), thesis_generator()


def has_amx():
    "Does the processor multiply whole matrices?"
    import torch
    return getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()


def bench_inference(rounds, weights):
    "256² photos per second: the compact network as the Colorizer runs it, the thesis's as fastai does"
    import torch
    from colorize_lib.inference import Colorizer
    colorizer, thesis = Colorizer.from_pretrained(weights, "cpu"), networks()[1].eval()
    L = np.random.default_rng(0).uniform(0, 100, (1, 1, 256, 256)).astype(np.float32)
    x = torch.from_numpy(L)/50 - 1
    @torch.inference_mode()
    def slow(): thesis(x)
    t = in_turns(rounds, ours=lambda: colorizer.predict_ab(L), theirs=slow)
    kind, target = ("with AMX", 40) if has_amx() else ("without AMX", 20)
    return [f"network, one 256² photo, {kind}", "thesis network, fastai's layout", t["ours"], t["theirs"], t["theirs"]/t["ours"],
            f">= {target} faster"]


def training_step(model, batch, channels_last, bf16, optimizer):
    "A function that does one training step"
    import torch
    import torch.nn.functional as F
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = model.train().to(memory_format=layout)
    x, y = (torch.rand(batch, c, 128, 128).mul(2).sub(1).to(memory_format=layout) for c in (1, 2))
    optimizer = optimizer(model.parameters())
    def step():
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16): out = model(x)
        out = out.float()
        F.l1_loss(out, y if out.shape == y.shape else F.interpolate(y, size=out.shape[-2:], mode="bilinear", antialias=True)).backward()
        optimizer.step()
        optimizer.zero_grad()
    return step


def bench_training(rounds):
    "A training step at 128², batch 16"
    import torch
    from colorize_lib.core import native_bfloat16
    compact, thesis = networks()
    ours = training_step(compact, 16, True, native_bfloat16(), lambda p: torch.optim.AdamW(p, 1e-3))
    theirs = training_step(thesis, 16, False, False, lambda p: torch.optim.Adam(p, 1e-4))
    t = in_turns(rounds, ours=ours, theirs=theirs)
    return ["training step, 16 photos at 128²", "thesis network, fastai's layout", t["ours"], t["theirs"], t["theirs"]/t["ours"], ">= 8 faster"]


LAB = """
import sys, time
sys.path.insert(0, sys.argv[3])
import numpy as np
from memory import peak
from PIL import Image
photo = np.asarray(Image.open(sys.argv[2]).convert("RGB"))
if sys.argv[1] == "ours":
    from colorize_lib import color
    def there_and_back():
        lab = color.photo_to_lab(photo)
        return color.lab_to_photo(lab[:1], lab[1:])
else:
    from skimage.color import rgb2lab, lab2rgb
    def there_and_back(): return (lab2rgb(rgb2lab(photo))*255).round().astype(np.uint8)
whole, photo = photo, photo[:64, :64]
there_and_back() # imports and tables
photo, before, start = whole, peak(), time.perf_counter()
back = there_and_back()
seconds, after = time.perf_counter() - start, peak()
assert np.abs(back.astype(np.int16) - photo).max() <= 1
print(seconds, after - before)
"""


def bench_lab(rounds, photo):
    "Lab there and back on 12 megapixels against scikit-image: time, and memory on top of what was there before"
    times, memory = {"ours": [], "theirs": []}, {"ours": [], "theirs": []}
    for _ in range(max(1, rounds//2)):
        for side in times:
            out = subprocess.run([sys.executable, "-c", LAB, side, str(photo), str(Path(__file__).parent)], capture_output=True, text=True, check=True).stdout.split()
            times[side].append(float(out[0])); memory[side].append(float(out[1]))
    t, m = ({side: median(v) for side, v in d.items()} for d in (times, memory))
    return [["Lab there and back, 12 megapixels", "scikit-image", t["ours"], t["theirs"], t["theirs"]/t["ours"], ">= 8 faster"],
            ["… its memory, MB", "scikit-image", m["ours"]/1e6, m["theirs"]/1e6, m["theirs"]/max(1, m["ours"]), ">= 4 smaller"]]


def bench_photo(rounds, photo, folder, weights):
    "Read, colorize and save 12 megapixels, against reading and saving the same file with Pillow"
    from PIL import Image
    from colorize_lib import cli
    from colorize_lib.inference import Colorizer
    colorizer = Colorizer.from_pretrained(weights, "cpu")
    def pillow():
        with Image.open(photo) as im: im.save(BytesIO(), "JPEG", quality=92)
    t = in_turns(rounds, ours=lambda: cli.colorize_file(colorizer, photo, folder/"out.jpg"), theirs=pillow)
    return ["read, colorize, save 12 megapixels", "Pillow reads and saves it", t["ours"], t["theirs"], t["ours"]/t["theirs"], "<= 4 times"]


def bench_start(rounds, small, weights):
    "The whole command on a small photo, against `import torch` alone; and --version"
    command = [sys.executable, "-c", "from colorize_lib.cli import main; main()"]
    def call(*args): return lambda: subprocess.run(args, check=True, capture_output=True)
    t = in_turns(max(2, rounds//2), ours=call(*command, str(small), "--force", "--model", str(weights)),
                 theirs=call(sys.executable, "-c", "import torch"), version=call(*command, "--version"))
    return [["colorize small.jpg, cold", "python -c 'import torch'", t["ours"], t["theirs"], t["ours"]/t["theirs"], "<= 0.45 times"],
            ["colorize --version", "half a second", t["version"], .5, t["version"]/.5, "<= 1 times"]]


def bench_batch(n, folder, weights):
    "A folder of 2-megapixel photos: several at once, against one after the other"
    from rich.console import Console
    from colorize_lib import cli
    from colorize_lib.console import say
    from colorize_lib.crew import Tally
    album = folder/"album"
    album.mkdir()
    first = grainy_photo(album/"0.jpg", 1632, 1224).read_bytes()
    for i in range(1, n): (album/f"{i}.jpg").write_bytes(first)
    console = Console(stderr=True)
    painter = cli._load_painter(str(weights), "auto", "cpu", None, False, cli.Looks())
    def together(): cli.run(cli.plan([album], folder/"together", True), painter, console, Tally())
    def plain():
        for job in cli.plan([album], folder/"plain", True): cli.do_job(job, painter)
    t = in_turns(1, ours=together, theirs=plain)
    ours, theirs = t["ours"]/n, t["theirs"]/n
    say(console, f"{n} photos of 2 megapixels: {1/ours:.1f} photos/s, a plain loop {1/theirs:.1f}")
    return [f"a photo of {n}, 2 megapixels each", "a plain loop", ours, theirs, theirs/ours, ">= 1.2 faster"]


def bench_install(folder):
    "The plain installation into a new environment: seconds, and MB on the disk"
    root = Path(__file__).resolve().parent.parent
    quiet = ["-q", "--disable-pip-version-check"]
    def call(*args): subprocess.run([str(a) for a in args], check=True, capture_output=True)
    others = shutil.ignore_patterns(".git", ".venv", "_proc", "_docs", "build", "dist", "runs", "*.egg-info", "__pycache__")
    shutil.copytree(root, folder/"clone", ignore=others)
    call(sys.executable, "-m", "pip", "wheel", *quiet, "--no-deps", "--no-build-isolation", "-w", folder, folder/"clone")
    wheel, = folder.glob("*.whl")
    call(sys.executable, "-m", "venv", folder/"small")
    start = time.perf_counter()
    call(folder/"small"/"bin"/"python", "-m", "pip", "install", *quiet, "-c", root/"constraints.txt", wheel)
    seconds = time.perf_counter() - start
    size = sum(f.stat().st_size for f in (folder/"small").rglob("*") if f.is_file() and not f.is_symlink())/1e6
    return [["plain installation", "25 s", seconds, 25, seconds/25, "<= 1 times"],
            ["… on the disk, MB", "350 MB", size, 350, size/350, "<= 1 times"]]


def grainy_photo(path, width, height, mode="L"):
    "A photograph with grain: an embedded one, enlarged (a smooth picture would be too easy for the JPEG coder)"
    from PIL import Image
    from colorize_lib.photos import sample_photos
    photo = np.asarray(next(iter(sample_photos().values())).convert(mode).resize((width, height), Image.Resampling.BICUBIC))
    grain = np.random.default_rng(0).normal(0, 4, photo.shape).astype(np.float32)
    Image.fromarray((photo + grain).clip(0, 255).astype(np.uint8)).save(path, quality=92)
    return path


def met(row):
    "Does the row's ratio meet its target?"
    sign, bound, _ = row[-1].split()
    return row[4] >= float(bound) if sign == ">=" else row[4] <= float(bound)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2 rounds instead of 7")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a target is missed")
    args = parser.parse_args()
    from rich.console import Console
    from rich.table import Table
    import torch
    from colorize_lib.weights import save_generator
    torch.manual_seed(0)
    rounds = 2 if args.quick else 7
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        big, small = grainy_photo(folder/"big.jpg", 4000, 3000), grainy_photo(folder/"small.jpg", 400, 300)
        weights = save_generator(networks()[0], folder/"w.safetensors", half=True)
        rows = [bench_inference(3*rounds, weights), bench_training(max(2, rounds//2)), *bench_lab(rounds, grainy_photo(folder/"color.jpg", 4000, 3000, "RGB")),
                bench_photo(rounds, big, folder, weights), *bench_start(rounds, small, weights),
                bench_batch(20 if args.quick else 200, folder, weights), *bench_install(folder)]
    table = Table("what", "against", "ours", "theirs", "ratio", "target", "met", title=f"{rounds} rounds, {torch.get_num_threads()} threads, "
                  f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for row in rows:
        what, against, ours, theirs, ratio, target = row
        number = "{:.0f}" if "MB" in what else "{:.3f} s"
        table.add_row(what, against, number.format(ours), number.format(theirs), f"{ratio:.1f}", target, "yes" if met(row) else "NO")
    Console(width=140 if not sys.stdout.isatty() else None).print(table)
    if args.json: args.json.write_text(json.dumps([dict(zip(("what", "against", "ours", "theirs", "ratio", "target"), r)) for r in rows], indent=1))
    if args.check and not all(map(met, rows)): sys.exit(1)


if __name__ == "__main__": main()
