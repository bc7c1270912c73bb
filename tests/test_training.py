"""`colorize-train`, killed for real: the next run ends with the same weights, bit for bit."""
import os, signal, subprocess, sys, time
from pathlib import Path

import torch

from colorize_lib.weights import load_generator

EPOCHS = 8

def train(out):
    return [sys.executable, "-c", "from colorize_lib.train_cli import main; main()", "--profile", "smoke", "--no-pretrained",
            "--frozen", "0", "--batch-size", "1", "--epochs", str(EPOCHS), "--out", str(out)]

def env(tmp): return {**os.environ, "COLORIZE_CACHE": str(tmp/"cache"), "OMP_NUM_THREADS": "1"}

def weights(out): return load_generator(out/"weights.safetensors")[0].state_dict()

def kill_in_the_middle(out, tmp):
    "Kill -9 once the log has two epochs; the run must not have been over"
    process = subprocess.Popen(train(out), env=env(tmp), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    log = out/"log.csv"
    for _ in range(1200):
        if log.is_file() and len(log.read_text().splitlines()) > 2: break
        assert process.poll() is None, "ended before it could be killed"
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL); process.wait()
    assert not (out/"weights.safetensors").exists()

def test_a_killed_run_ends_at_the_same_weights(tmp_path):
    subprocess.run(train(tmp_path/"whole"), env=env(tmp_path), check=True, capture_output=True)
    kill_in_the_middle(tmp_path/"killed", tmp_path)
    again = subprocess.run(train(tmp_path/"killed"), env=env(tmp_path), capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    one, two = weights(tmp_path/"whole"), weights(tmp_path/"killed")
    assert all(torch.equal(one[k], two[k]) for k in one)
    assert len((tmp_path/"killed"/"log.csv").read_text().splitlines()) == EPOCHS + 1  # no epoch twice, none lost

def test_another_recipe_is_refused(tmp_path):
    quick = [*train(tmp_path/"run"), "--epochs", "1"]
    subprocess.run(quick, env=env(tmp_path), check=True, capture_output=True)
    other = subprocess.run([*quick, "--lr", "0.5"], env=env(tmp_path), capture_output=True, text=True)
    assert other.returncode == 1 and "lr:" in other.stderr and "checkpoint-" in other.stderr.replace("\n", "")
