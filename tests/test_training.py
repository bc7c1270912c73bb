"""`colorize-train`, killed for real: the next run ends with the same weights, bit for bit."""
import os
import signal
import subprocess
import sys
import time

import torch

from colorize_lib.weights import load_generator

EPOCHS = 8
COMMAND = [sys.executable, "-c", "from colorize_lib.train_cli import main; main()"]


def l1(out):
    small = ["--no-pretrained", "--frozen", "0", "--batch-size", "1"]
    return [*COMMAND, "--profile", "smoke", *small, "--epochs", str(EPOCHS), "--out", str(out)]


def gan(out):
    short = ["--batch-size", "1", "--epochs", "6", "--critic-steps", "2", "--set", "snapshots=6"]
    return [*COMMAND, "--profile", "smoke", "--stage", "gan", "--from", "l1", *short,
            "--out", str(out)]


def env(tmp):
    return {**os.environ, "COLORIZE_CACHE": str(tmp/"cache"), "OMP_NUM_THREADS": "1"}


def run(command, tmp, **options):
    return subprocess.run(command, env=env(tmp), capture_output=True, text=True, **options)


def weights(out):
    return load_generator(out/"weights.safetensors")[0].state_dict()


def kill_in_the_middle(command, out, tmp):
    "Kill -9 once the log has two rows; the run must not have been over"
    process = subprocess.Popen(command, env=env(tmp), stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    log = out/"log.csv"
    while not (log.is_file() and len(log.read_text().splitlines()) > 2):
        assert process.poll() is None, "ended before it could be killed"
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out/"weights.safetensors").exists()


def same_after_a_kill(command, tmp):
    "The logs of a whole run and of one that was killed; their weights are equal"
    whole = run(command(tmp/"whole"), tmp)
    assert whole.returncode == 0, whole.stderr
    kill_in_the_middle(command(tmp/"killed"), tmp/"killed", tmp)
    again = run(command(tmp/"killed"), tmp)
    assert again.returncode == 0, again.stderr
    one, two = weights(tmp/"whole"), weights(tmp/"killed")
    assert all(torch.equal(one[k], two[k]) for k in one)
    return [(tmp/name/"log.csv").read_text().splitlines() for name in ("whole", "killed")]


def test_a_killed_run_ends_at_the_same_weights(tmp_path):
    whole, killed = same_after_a_kill(l1, tmp_path)
    assert len(whole) == len(killed) == EPOCHS + 1  # no epoch twice, none lost


def test_a_killed_game_ends_at_the_same_weights(tmp_path):
    whole, killed = same_after_a_kill(gan, tmp_path)
    assert [row.split(",")[0] for row in whole] == [row.split(",")[0] for row in killed]


def test_another_recipe_is_refused(tmp_path):
    quick = [*l1(tmp_path/"run"), "--epochs", "1"]
    run(quick, tmp_path, check=True)
    other = run([*quick, "--lr", "0.5"], tmp_path)
    assert other.returncode == 1
    assert "lr:" in other.stderr and "checkpoint-" in other.stderr.replace("\n", "")


def test_training_does_without_scikit_image():
    "A machine that only trains need not have what measuring needs"
    code = "import sys; sys.modules['skimage'] = None; import colorize_lib.adversarial"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
