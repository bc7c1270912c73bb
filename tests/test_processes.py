"`accelerate launch` with two processes on the processor: they train the network that one process trains."
import csv, importlib.util, os, subprocess, sys
from pathlib import Path

import pytest
import torch

import colorize_lib
from colorize_lib.runs import read_parts
from colorize_lib.shards import DeviceLoader, SquareDataset, Squares

with_accelerate = pytest.mark.skipif(importlib.util.find_spec("accelerate") is None,
                                     reason="accelerate is not installed: pip install 'colorize_lib[train]'")
# In float32, Adam's first steps move a weight by the learning rate even where its gradient is nothing but rounding,
# and rounding depends on the order of a sum. With more digits what is left would be a mistake.
SCRIPT = """
import torch
torch.set_default_dtype(torch.float64)
from colorize_lib.batches import LabDataset
pair = LabDataset.__getitem__
LabDataset.__getitem__ = lambda self, i: tuple(t.double() for t in pair(self, i))
from colorize_lib.patchgan import PatchGAN
judge = PatchGAN.forward
PatchGAN.forward = lambda self, xb, ab: judge(self, xb.double(), ab.double())
from colorize_lib.train_cli import main
main()
"""
LAUNCH = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1",
          "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0", "--no_python", sys.executable]
STAGES = {
    "l1": ["--no-pretrained", "--frozen", "0", "--set", "clip=1.0", "--set", "rare=0.5"],  # all of batch norm, and a mean over the batch
    "gan": ["--stage", "gan", "--from", "l1", "--critic-steps", "1", "--set", "norm_frozen=False", "--aged", "0.5"],
}


def train(command, out, tmp, options):
    "Some steps of the command; what it said"
    script = tmp/"train.py"
    script.write_text(SCRIPT)
    package = str(Path(colorize_lib.__file__).parent.parent)
    env = {**os.environ, "COLORIZE_CACHE": str(tmp/"cache"), "OMP_NUM_THREADS": "1",
           "PYTHONPATH": os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))}
    common = ["--profile", "smoke", "--epochs", "3", "--device", "cpu", "--set", "bf16=False", "--out", str(out)]
    run = subprocess.run([*command, str(script), *common, *options], env=env, capture_output=True, text=True, timeout=900)
    assert run.returncode == 0, run.stderr[-3000:]
    return run.stdout + run.stderr


def tensors(state, name=""):
    "All tensors of a checkpoint that are numbers of a network, by their names"
    if isinstance(state, torch.Tensor): return {name: state.double()}
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
    gaps = {name: float((value - two[name]).abs().max()) for name, value in one.items()}
    assert one.keys() == two.keys() and max(gaps.values()) < 1e-5, sorted(gaps.items(), key=lambda gap: -gap[1])[:10]
    assert told.count("weights: ") == 1  # one process speaks
    for ours, theirs in zip(log(tmp_path/"two"), log(tmp_path/"one"), strict=True):
        measured = [name for name in theirs if name not in ("seconds", "photos_s") and theirs[name]]  # a critic's step has no l1
        assert max(abs(float(ours[name]) - float(theirs[name])) for name in measured) < 1e-5, (ours, theirs)


def test_parts_of_batches_that_are_made_on_a_device():
    squares = Squares(torch.randint(0, 256, (7, 3, 32, 32), dtype=torch.uint8), torch.ones(7), list(range(7)))
    def epoch(member, members):
        loader = DeviceLoader(SquareDataset(squares, 16, aged=.5), bs=4, drop_last=True)
        loader.share_batches(member, members)
        return list(loader)
    whole, *parts = epoch(0, 1), epoch(0, 2), epoch(1, 2)
    assert len(whole) == 1 and [len(xb) for part in parts for xb, _ in part] == [2, 2]
    for batch, *shares in zip(whole, *parts, strict=True):
        for tensor, *pieces in zip(batch, *shares): assert torch.equal(torch.cat(pieces), tensor)
    with pytest.raises(ValueError, match="3 processes cannot share a batch of 4 photos evenly"): epoch(0, 3)
