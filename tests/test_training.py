"""Training: questions have true answers, a run can be repeated, resumed, killed and split over processes."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from lcpfn import Checkpoint, files
from lcpfn.priors import Paper
from lcpfn.priors.shared_times import draw_times
from lcpfn.query import KINDS
from lcpfn.training import PRESETS, NonfiniteLoss, Options, Run, state, train
from lcpfn.training.command import main, options, parser
from lcpfn.training.questions import QuestionLaw, draw, split
from lcpfn.training.randomness import BATCH, generator

TINY = dict(
    model=PRESETS["tiny"],
    batch=8,
    questions=12,
    precision="float32",
    threads=1,
    validation_curves=8,
    log_every_s=1e9,
    alarm_curves=0,
)


def quiet(line: str) -> None:
    """In the place of print."""


@pytest.fixture
def curves():
    return Paper().sample(50, torch.arange(1.0, 101.0), generator=generator(0, BATCH, 0))


def test_answers_are_the_truth_about_the_asked_time(curves):
    asked = draw(
        curves, QuestionLaw(questions=30, shares=(0.4, 0.3, 0.3), early=1.0, final=0.0), 100, generator=generator(1)
    )
    y, signal = curves.y.numpy(), curves.signal.numpy()
    for b in range(50):
        for p in range(30):
            after, time_, kind = int(asked.after[b, p]), int(asked.t_query[b, p]), KINDS[int(asked.kinds[p])]
            truth = {
                "value": y[b, time_ - 1],
                "signal": signal[b, time_ - 1],
                "best": y[b, after:time_].max(initial=-9),
            }
            assert asked.answer[b, p] == pytest.approx(truth[kind], abs=0)
            assert kind == "signal" or time_ > after
            assert 0 <= after < 100


def test_every_cut_off_is_asked_about(curves):
    asked = draw(
        curves, QuestionLaw(questions=100, shares=(1.0, 0.0, 0.0), early=1.0, final=0.0), 100, generator=generator(2)
    )
    assert set(asked.after.flatten().tolist()) == set(range(100))


def test_one_cut_serves_a_whole_batch(curves):
    asked = draw(
        curves,
        QuestionLaw(questions=12, shares=(0.5, 0.25, 0.25), early=1.0, final=0.0, one_cut=True),
        100,
        generator=generator(3),
    )
    assert len(asked.after.unique()) == 1 and int(asked.after[0, 0]) >= 1


def test_split_keeps_the_total():
    for questions in range(3, 100):
        assert sum(split(questions, (0.7, 0.15, 0.15))) == questions
        assert min(split(questions, (0.7, 0.15, 0.15))) >= 1


def test_streams_of_a_seed_differ_and_repeat():
    def first(*path):
        return torch.rand(1, generator=generator(*path)).item()

    assert first(0, BATCH, 1) == first(0, BATCH, 1)
    assert len({first(0, BATCH, 1), first(0, BATCH, 2), first(1, BATCH, 1), first(0, BATCH, 1, 0)}) == 4


def test_loss_falls_and_the_checkpoint_says_where_it_comes_from(tmp_path):
    run = Run(Options(**(TINY | {"steps": 60, "batch": 32, "lr": 5e-3, "warmup": 10})), tmp_path / "run", say=quiet)
    (tmp_path / "run").mkdir()
    before = run.validate(run.examined)
    last = run.run()
    assert all(last["scores"][cut] > before[cut] + 0.2 for cut in before), (before, last["scores"])
    made = Checkpoint.read(tmp_path / "run" / "checkpoint.safetensors")
    assert made.provenance["prior"] == {"name": "paper", "parameters": Paper().parameters(), "bounds": [0.0, 1.0]}
    assert made.provenance["curves_seen"] == 60 * 32
    assert made.provenance["scores"] == last["scores"]
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["step"] == 60


def test_the_last_part_of_a_run_can_be_exact(tmp_path):
    def weights(**told):
        name = "-".join(map(str, told.values()))
        train(Options(**(TINY | told), steps=4), tmp_path / name, say=quiet)
        return Checkpoint.read(tmp_path / name / "checkpoint.safetensors").weights["head.weight"]

    whole, none, half = (weights(precision="bfloat16", exact=share) for share in (1.0, 0.0, 0.5))
    np.testing.assert_array_equal(whole, weights(precision="float32"))
    assert not np.array_equal(half, whole) and not np.array_equal(half, none)


@pytest.mark.parametrize("extra", [{}, {"optimizer": "adamw", "ema": 0.9, "schedule": "wsd"}])
def test_an_interrupted_run_ends_in_the_same_bits(tmp_path, extra):
    told = Options(**(TINY | extra), steps=12)
    train(told, tmp_path / "whole", say=quiet)
    first = Run(told, _folder(tmp_path / "parts"), say=quiet)
    for _ in range(5):
        first.learn(told.learning_rate(first._progress(), first.step))
        first.step += 1
    first.save()
    train(told, tmp_path / "parts", say=quiet, resume=True)
    for name in ("checkpoint", "state"):
        whole, parts = (load_file(tmp_path / run / f"{name}.safetensors") for run in ("whole", "parts"))
        assert whole.keys() == parts.keys()
        for key in whole:
            np.testing.assert_array_equal(whole[key], parts[key], err_msg=key)


def test_a_killed_run_resumes_to_the_same_bits(tmp_path):
    flags = "--preset tiny --steps 400 --batch 8 --questions 12 --precision float32 --threads 1".split()
    flags += ["--validation-curves", "0"]
    command = [sys.executable, "-m", "lcpfn.training", "--runs", str(tmp_path), *flags, "--save-every-s", "0.2"]
    victim = subprocess.Popen([*command, "--name", "killed"], stdout=subprocess.DEVNULL)
    state = tmp_path / "killed" / "state.safetensors"
    deadline = time.monotonic() + 120
    while not state.exists() and time.monotonic() < deadline and victim.poll() is None:
        time.sleep(0.02)
    victim.send_signal(signal.SIGKILL)
    assert victim.wait() == -signal.SIGKILL, "the run was over before it could be killed"
    subprocess.run([*command, "--name", "killed", "--resume"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([*command, "--name", "whole"], check=True, stdout=subprocess.DEVNULL)
    killed, whole = (load_file(tmp_path / run / "checkpoint.safetensors") for run in ("killed", "whole"))
    for key in whole:
        np.testing.assert_array_equal(killed[key], whole[key], err_msg=key)


def test_two_processes_train_one_network(tmp_path):
    flags = (
        "--preset tiny --steps 6 --batch 4 --questions 12 --precision float32 --threads 1 --validation-curves 8".split()
    )
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [*launch, "-m", "lcpfn.training", "--runs", str(tmp_path), *flags],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    made = Checkpoint.read(tmp_path / "train" / "checkpoint.safetensors")
    assert made.provenance["curves_seen"] == 6 * 4 * 2
    alone = Run(Options(**(TINY | {"steps": 1, "batch": 4})), _folder(tmp_path / "alone"), say=quiet)
    gradients = []
    for rank in range(2):  # what two processes average in their first step
        alone.rank = rank
        random = generator(0, BATCH, 0, rank)
        times = draw_times(100, alone.options.irregular, generator=random)
        curves = alone.prior.sample(4, times, generator=random)
        asked = draw(
            curves, QuestionLaw(questions=12, shares=alone.options.shares, early=1.0, final=0.0), 100, generator=random
        )
        (-alone.objective(curves, asked.after, asked.t_query, asked.answer, asked.kinds).mean()).backward()
        gradients.append(alone.objective.model.head.bias.grad.clone())
        alone.objective.zero_grad()
    assert not torch.equal(gradients[0], gradients[1]), "each process must have curves of its own"


def test_a_run_removes_what_killed_ones_left(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    host = files._HOST
    left = [f".state.safetensors.{host}-{dead.pid}-0123abcd.tmp", "state.safetensorsab12.part"]
    left += [f".checkpoint.safetensors.{host}-{dead.pid}-0123abcd.tmp"]
    alive = f".state.safetensors.{host}-{os.getppid()}-0123abcd.tmp"
    for name in (*left, alive, "notes.part"):
        (tmp_path / name).write_bytes(b"x")
    Run(Options(**(TINY | {"validation_curves": 0}), steps=1), tmp_path, say=quiet)
    assert {path.name for path in tmp_path.iterdir()} == {alive, "notes.part"}


def test_a_state_that_cannot_be_written_is_an_error_and_the_old_one_stays(tmp_path, monkeypatch):
    run = Run(Options(**(TINY | {"validation_curves": 0}), steps=1), tmp_path, say=quiet)
    run.save()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    for name in ("save_file", "checkpoint"):
        with monkeypatch.context() as patch:
            if name == "save_file":
                patch.setattr(state, "save_file", full)
            else:
                patch.setattr(Checkpoint, "write", full)
            run.step += 1
            with pytest.raises(OSError, match="No space left"):
                run.save()
        assert (tmp_path / "checkpoint.safetensors").read_bytes() == before["checkpoint.safetensors"]
        assert {path.name for path in tmp_path.iterdir()} == set(before), "and nothing is left over"
        if name == "save_file":
            assert (tmp_path / "state.safetensors").read_bytes() == before["state.safetensors"]


def test_a_full_disk_is_told_without_a_traceback(tmp_path, monkeypatch, capsys):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(state, "save_file", full)
    flags = "--preset tiny --steps 1 --batch 4 --questions 12 --validation-curves 0 --threads 1".split()
    assert main([*flags, "--runs", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "No space left on device; the last state that was written whole is in" in said and "--resume" in said


def test_a_nonfinite_loss_stops_and_keeps_the_last_good_state(tmp_path):
    run = Run(Options(**TINY, steps=50), _folder(tmp_path / "run"), say=quiet)
    run.save()
    good = (tmp_path / "run" / "state.safetensors").read_bytes()
    with torch.no_grad():
        run.objective.model.head.bias.fill_(float("nan"))
    with pytest.raises(NonfiniteLoss, match="the last good state"):
        run.run()
    assert (tmp_path / "run" / "state.safetensors").read_bytes() == good


def test_a_time_box_ends_in_time_with_a_rate_near_zero(tmp_path):
    began = time.monotonic()
    train(Options(**(TINY | {"validation_curves": 0}), minutes=0.03), tmp_path / "run", say=quiet)
    assert time.monotonic() - began < 30
    told = Options(minutes=1.0)
    assert told.learning_rate(1.0, 10**6) == 0.0
    assert told.learning_rate(0.0, 10**6) == told.lr


def test_a_paused_schedule_goes_on_where_it_stood(tmp_path):
    """Two commands of half the time are one schedule; a run that had ended goes on at the rate of its longer box."""
    told, said, rates = TINY | {"validation_curves": 0}, [], []
    first = Run(Options(**told, minutes=0.04, pause_minutes=0.02), _folder(tmp_path / "run"), say=said.append)
    first.run()
    assert 0.5 <= first.progress < 1 and said[-1].startswith("paused at ")
    run = Run(Options(**told, minutes=0.04), tmp_path / "run", say=quiet, resume=True)
    assert (run.step, run.elapsed) == (first.step, first.elapsed)
    learn = run.learn
    run.learn = lambda rate: (rates.append(rate), learn(rate))[1]
    run.run()
    falling = rates[max(0, run.options.warmup - first.step) :]  # a slow machine may pause within the warm-up
    assert run.step > first.step and falling == sorted(falling, reverse=True)
    warm = min(1, (first.step + 1) / run.options.warmup)
    assert 0 <= rates[-1] < 0.1 * rates[0] and rates[0] <= 0.5 * run.options.lr * warm
    longer = Run(Options(**told, minutes=0.08), tmp_path / "run", say=quiet, resume=True)
    longer.elapsed = run.elapsed
    assert longer._progress() == pytest.approx(0.5, abs=0.1)


def test_the_log_can_be_watched_in_tensorboard(tmp_path):
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train(Options(**TINY, steps=2, tensorboard=True), tmp_path, say=quiet)
    events = reader.EventAccumulator(str(tmp_path))
    events.Reload()
    logged = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert events.Scalars("after 40")[-1].value == pytest.approx(logged["scores"]["40"])
    assert events.Scalars("loss")[-1].step == 2


def test_flags_are_made_from_the_fields():
    told = options(
        parser().parse_args("--preset tiny --width 64 --steps 3 --shares 0.5 0.25 0.25 --times relative".split())
    )
    assert told.model == dataclasses.replace(PRESETS["tiny"], width=64)
    assert told.shares == (0.5, 0.25, 0.25) and told.coordinates.times == "relative" and told.steps == 3


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({}, "either minutes or steps"),
        ({"minutes": 1, "steps": 1}, "either minutes or steps"),
        ({"steps": 1, "shares": (1, 1, 1)}, "sum to 1"),
        ({"steps": 1, "lr": -1}, "lr must be above zero"),
        ({"steps": 1, "schedule": "step"}, "schedule must be one of"),
        ({"steps": 1, "questions": 2}, "questions"),
        ({"steps": 1, "prior_parameters": "[1]"}, r"prior_parameters must be an object in JSON, .* got '\[1\]'"),
        ({"steps": 1, "prior_parameters": "{stopped: 1}"}, "prior_parameters must be an object in JSON"),
    ],
)
def test_options_that_cannot_be_are_refused(wrong, rule):
    with pytest.raises(ValueError, match=rule):
        Options(**wrong)


def test_a_run_is_not_overwritten_and_not_resumed_as_another(tmp_path, capsys):
    flags = [
        "--runs",
        str(tmp_path),
        "--preset",
        "tiny",
        "--validation-curves",
        "0",
        "--batch",
        "4",
        "--questions",
        "12",
    ]
    assert main([*flags, "--steps", "1"]) == 0
    assert main([*flags, "--steps", "2"]) == 2
    assert "--resume" in capsys.readouterr().err
    assert main([*flags, "--steps", "2", "--seed", "5", "--resume"]) == 2
    assert "needs the seed that the run began with" in capsys.readouterr().err
    (tmp_path / "train" / "state.safetensors").write_bytes(b"cut off")
    assert main([*flags, "--steps", "2", "--resume"]) == 2
    assert "not the complete state" in capsys.readouterr().err


def _folder(path):
    path.mkdir()
    return path
