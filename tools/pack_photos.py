"""Pack a folder of photos into a few small .tar files, to train on another machine.

    python tools/pack_photos.py album shards
    colorize-train --photos shards

Plain .tar files of AVIF photos: `train-0.tar`, `train-1.tar` and so on, and `val.tar` where
the folder has been split. The photos are shuffled: each shard is a fair sample of them all.
"""
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image
from rich.console import Console
from rich.progress import track

from colorize_lib.core import atomic_path, remove_drafts
from colorize_lib.data import source_parts
from colorize_lib.photos import PhotoError, read_photo

CONSOLE = Console(stderr=True)


def small(file: Path, short_side: int, quality: int) -> bytes:
    "A photo as AVIF without notes; its shorter side at most `short_side`, its colours at full size"
    image, out = read_photo(file).image.convert("RGB"), BytesIO()
    scale = short_side/min(image.size)
    if scale < 1:
        size = [max(short_side, round(side*scale)) for side in image.size]
        image = image.resize(size, Image.LANCZOS)
    image = Image.fromarray(np.asarray(image))  # pixels alone: a colour profile holds the time
    image.save(out, "AVIF", quality=quality, subsampling="4:4:4", max_threads=1)
    return out.getvalue()


def member(name: Path, size: int) -> tarfile.TarInfo:
    "The entry of one photo, without owner or date: equal photos make equal archives"
    info = tarfile.TarInfo(name.as_posix())
    info.size = size
    return info


def packed(files: list, short_side: int, quality: int, workers: int):
    "Yield (file, its AVIF bytes or the error) in order, a few photos at a time in memory"
    def job(file):
        try:
            return file, small(file, short_side, quality)
        except PhotoError as error:
            return file, error
    with ThreadPoolExecutor(workers) as pool:
        for at in range(0, len(files), 8*workers):
            yield from pool.map(job, files[at:at + 8*workers])


def pack(files: list, folder: Path, shards: list, results) -> int:
    "Deal `results` for the files of `folder` out to the paths `shards`; returns how many are good"
    done = 0
    with ExitStack() as stack:
        drafts = [stack.enter_context(atomic_path(path)) for path in shards]
        tars = [stack.enter_context(tarfile.open(draft, "w")) for draft in drafts]
        for file, result in track(results, shards[0].stem, len(files), console=CONSOLE):
            if isinstance(result, PhotoError):
                CONSOLE.print(f"skipped {result}", markup=False, soft_wrap=True)
                continue
            name = file.relative_to(folder)
            if name.suffix.lower() != ".avif":
                name = name.with_name(f"{name.name}.avif")  # a.jpg and a.png stay two photos
            tars[done % len(tars)].addfile(member(name, len(result)), BytesIO(result))
            done += 1
        if not done:
            raise PhotoError(folder, f"none of {len(files)} photos can be used")
    return done


def main(
    folder: Annotated[Path, typer.Argument(help="Photos; train/ and val/ inside are the split.")],
    out: Annotated[Path, typer.Argument(help="Folder for the shards; must hold none yet.")],
    short_side: Annotated[int, typer.Option(min=16, help="Pixels; smaller photos stay.")] = 192,
    quality: Annotated[int, typer.Option(min=1, max=100, help="Of the AVIF files.")] = 45,
    shards: Annotated[int, typer.Option(min=1, help="Files for the training photos; at most one for each.")] = 2,
    workers: Annotated[int, typer.Option(min=1, help="Photos at the same time.")] = 2,
    seed: Annotated[int, typer.Option(help="Of the order.")] = 42,
):
    "Pack a folder of photos into shards, to train on another machine."
    try:
        remove_drafts(out)  # of a call that was killed
        if any(not file.name.startswith(".") for file in out.glob("*.tar")):
            raise ValueError(f"{out}: holds .tar files already, choose another folder")
        train, valid = source_parts(folder)
        train = [train[i] for i in np.random.default_rng([6, seed]).permutation(len(train))]
        names = [f"train-{i}.tar" for i in range(min(shards, len(train)))]
        for files, names in ((train, names), (valid, ["val.tar"])):
            if not files:
                continue
            paths = [out/name for name in names]
            done = pack(files, folder, paths, packed(files, short_side, quality, workers))
            mib = sum(path.stat().st_size for path in paths)/2**20
            CONSOLE.print(f"{', '.join(names)}: {done} photos, {mib:.1f} MiB")
    except (ValueError, OSError) as error:
        CONSOLE.print(f"pack_photos: {error}", markup=False, soft_wrap=True)
        sys.exit(2)


if __name__ == "__main__":
    typer.run(main)
