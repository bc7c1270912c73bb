"""One photo, one answer: a processor with other instructions gives the same colours."""
import os, subprocess, sys

import numpy as np

# torch and oneDNN then use what every processor since 2013 has
AVX2_ONLY = dict(ONEDNN_MAX_CPU_ISA="AVX2", ATEN_CPU_CAPABILITY="avx2")
COLORIZE = """
import sys
import numpy as np
from colorize_lib.color import lightness
from colorize_lib.inference import Colorizer
from colorize_lib.photos import sample_photos
photo = sample_photos()["chelsea"].resize((256, 256))
ab = Colorizer.from_pretrained(device="cpu", engine="torch").predict_ab(lightness(np.asarray(photo))[None])
np.save(sys.argv[1], ab.float().numpy())
"""

def colours(path, **switches):
    run = subprocess.run([sys.executable, "-c", COLORIZE, path], env={**os.environ, **switches}, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return np.load(path)

def test_the_colours_do_not_depend_on_the_processor(tmp_path):
    usual = colours(tmp_path/"usual.npy")
    plain = colours(tmp_path/"plain.npy", **AVX2_ONLY)
    assert usual.shape == plain.shape and abs(usual).max() > 5
    assert abs(usual - plain).max() < 0.01
