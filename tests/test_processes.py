"`accelerate launch` with two processes on the processor: they train the network that one process trains."
import csv, importlib.util, os, subprocess, sys
from pathlib import Path

import pytest
import torch

import colorize_lib
from colorize_lib.runs import read_parts

with_accelerate = pytest.mark.skipif(importlib.util.find_spec("accelerate") is None,
                                     reason="accelerate is not installed: pip install 'colorize_lib[train]'")
SCRIPT = "from colorize_lib.train_cli import main\nmain()\n"
LAUNCH = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1",
          "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
STAGES = {
    "l1": ["--no-pretrained", "--frozen", "0", "--set", "clip=1.0", "--set", "rare=0.5"],  # all of batch norm, and a mean over the batch
    "gan": ["--stage", "gan", "--from", "l1", "--critic-steps", "1", "--set", "norm_frozen=False", "--loader", "device", "--aged", "0.5"],
}


def train(command, out, tmp, options):
    "Some steps of the command; what it said"
    script = tmp/"train.py"
    script.write_text(SCRIPT)
    package = str(Path(colorize_lib.__file__).parent.parent)
    env = {**os.environ, "COLORIZE_CACHE": str(tmp/"cache"), "OMP_NUM_THREADS": "1",
           "PYTHONPATH": os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))}
    common = ["--profile", "laptop", "--size", "96", "--batch-size", "4", "--epochs", "3", "--device", "cpu", "--set", "bf16=False", "--out", str(out)]
    run = subprocess.run([*command, str(script), *common, *options], env=env, capture_output=True, text=True, timeout=900)
    assert run.returncode == 0, run.stderr[-3000:]
    return run.stdout + run.stderr


def tensors(state, name=""):
    "All tensors of a checkpoint that are numbers of a network, by their names"
    if isinstance(state, torch.Tensor): return {name: state.float()}
    if not isinstance(state, dict): return {}
    return {k: v for key, value in state.items() if key not in ("random", "opt", "opt_g", "opt_d")
            for k, v in tensors(value, f"{name}.{key}").items()}


def state(out):
    checkpoint, = out.glob("checkpoint-*")
    return tensors(read_parts(checkpoint))


def log(out):
    return list(csv.DictReader((out/"log.csv").read_text().splitlines()))


@with_accelerate
@pytest.mark.parametrize("stage", STAGES)
def test_two_processes_train_as_one(tmp_path, stage):
    train([sys.executable], tmp_path/"one", tmp_path, STAGES[stage])
    told = train(LAUNCH, tmp_path/"two", tmp_path, STAGES[stage])
    one, two = state(tmp_path/"one"), state(tmp_path/"two")
    # a running variance may be large: its digits count from the first one
    gaps = {name: float(((value - two[name]).abs()/value.abs().clamp(min=1)).max()) for name, value in one.items()}
    assert one.keys() == two.keys() and max(gaps.values()) < 1e-4, sorted(gaps.items(), key=lambda gap: -gap[1])[:10]
    assert told.count("weights: ") == 1  # one process speaks
    for ours, theirs in zip(log(tmp_path/"two"), log(tmp_path/"one"), strict=True):
        measured = [name for name in theirs if name not in ("seconds", "photos_s")]
        assert max(abs(float(ours[name]) - float(theirs[name])) for name in measured) < 1e-4, (ours, theirs)
