"""The network of the page that colours a reader's photos: one ONNX file of the default weights, and what the page has to know.

`write` puts both into a folder of the rendered site. The file is compared with PyTorch before it gets its name.
"""
import json
from pathlib import Path

RUNTIME = Path(__file__).resolve().parent/"site"/"ort"/"ort-wasm-simd-threaded.wasm"


def facts(size):
    "What the page has to know: how many bytes come, and the two marks that `colorize` writes into each result"
    from colorize_lib import __version__
    from colorize_lib.engine import default_weights
    from colorize_lib.photo_xmp import marked_xmp, NOTE
    program = f"colorize_lib {__version__} in a browser, weights {default_weights()} {__version__}"
    return dict(bytes=size, runtimeBytes=RUNTIME.stat().st_size, note=NOTE, xmp=marked_xmp(b"", program, "").decode())


def write(folder: Path):
    "Write network.onnx and network.json into `folder`"
    from colorize_lib.export_cli import export  # here: PyTorch takes seconds, and most of the site's tests do without it
    file = folder/"network.onnx"
    export(None, file)
    (folder/"network.json").write_text(json.dumps(facts(file.stat().st_size)), encoding="utf-8")
