"""The training loop, read top to bottom.

Curves are drawn where they are used and never stored; batch n of rank r is a function of (seed, n, r) alone. The state
on disk is complete, so a run that was killed goes on as if nothing had happened (`--resume`); with `steps`
instead of `minutes` it ends in the same bits.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lcpfn.network.checkpoint import Checkpoint
from lcpfn.network.shapes import current
from lcpfn.priors import Curves, Prior, by_name
from lcpfn.priors.shared_times import SharedTimes, as_runs
from lcpfn.training import state
from lcpfn.training.ahead import Ahead
from lcpfn.training.alarm import calibrate
from lcpfn.training.journal import Journal
from lcpfn.training.objective import Objective
from lcpfn.training.optimizers import optimizers
from lcpfn.training.options import Options
from lcpfn.training.parent import Parent
from lcpfn.training.provenance import provenance
from lcpfn.training.questions import EARLY, FINAL, QuestionLaw, Questions, draw
from lcpfn.training.randomness import BATCH, VALIDATION, WEIGHTS, generator
from lcpfn.training.scores import Examination
from lcpfn.training.transformer import QueryNetwork, Transformer

CHECK_EVERY = 20  # steps between looks at the loss; each look waits for the device
LATER = 28  # points of a run after those that the network may see, of priors that bring whole runs
OUTCOME_QUESTIONS = 8  # about divergence, for each curve, beside those about values


class NonfiniteLoss(RuntimeError):
    """The loss became NaN or infinite; the last good state is kept."""


class Run:
    """One training run: weights, optimisers, place in the schedule.

    Args:
        options: what to do.
        folder: where log, state and checkpoint go.
        resume: go on from the state in the folder.
        prior: an object to draw from instead of the one that the options name.
        network: the class of the network, which carries what it needs of the questions.
        say: takes one line per interval.
    """

    def __init__(
        self,
        options: Options,
        folder: Path,
        *,
        resume: bool = False,
        prior: Prior | None = None,
        network: type[QueryNetwork] = Transformer,
        say: Callable[[str], None] = print,
    ) -> None:
        self.options, self.folder, self.say = options, folder, say
        named = prior if prior is not None else by_name(options.prior, options.parameters_of_prior())
        self.prior = as_runs(named, irregular=options.irregular)
        clocked = isinstance(self.prior, SharedTimes)  # in known bounds, measured at times up to 100
        if not clocked and (options.coordinates.bounded or options.coordinates.times != "relative"):
            raise ValueError(
                f"the prior {self.prior.name!r} has metrics without bounds and runs of any length, so it needs "
                f"coordinates times=relative and no bounds (--times relative --no-bounded), got {options.coordinates}"
            )
        if options.model.divergence and clocked:
            raise ValueError(
                f"--divergence needs a prior of whole runs, some of which diverge, got {self.prior.name!r}"
            )
        # Runs of any length are asked about early and about their end more often: those are what users ask, and of long
        # runs a uniform share of the points is hardly ever a short prefix. Curves on one clock are asked as in LC-PFN.
        self.law = QuestionLaw(
            questions=options.questions,
            shares=options.shares,
            early=1.0 if clocked else EARLY,
            final=0.0 if clocked else FINAL,
            one_cut=network.one_cut,
            outcomes=OUTCOME_QUESTIONS if options.model.divergence else 0,
        )
        self.rank, self.world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        self.device = torch.device(options.device)
        if self.device.type == "cuda":
            self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
            torch.cuda.set_device(self.device)
        else:
            torch.set_num_threads(options.threads)
        self.opened = self.world > 1 and not torch.distributed.is_initialized()
        if self.opened:
            torch.distributed.init_process_group("cpu:gloo,cuda:nccl" if self.device.type == "cuda" else "gloo")
        with torch.random.fork_rng(devices=[]):  # torch's layers draw their first weights from the global state
            torch.manual_seed(generator(options.seed, WEIGHTS).initial_seed())
            self.objective = Objective(options.model, options.coordinates, self.prior.bounds, network=network).to(
                self.device
            )
        parent = None if resume else Parent.of(options)
        self.parent = None if parent is None else parent.facts
        if parent is not None:
            parent.into(self.objective.model)
        self.average = {n: p.detach().clone() for n, p in self.objective.named_parameters()} if options.ema else None
        self.optimizers = optimizers(self.objective, options)
        self.step, self.elapsed, self.progress = 0, 0.0, 0.0
        if not self.rank:
            for name in ("state", "checkpoint"):
                state.sweep(folder / f"{name}.safetensors")
        if resume:
            self._load()
        asked: Callable[..., Tensor] = self.objective
        if self.world > 1:
            asked = nn.parallel.DistributedDataParallel(self.objective)
        self.network = torch.compile(asked) if options.compile else asked
        on_gpu = self.device.type == "cuda"  # a CPU has no core to spare for the next batch
        self.ahead = Ahead(self.batch, self.device) if on_gpu else None
        self.examined = self._draw_validation()
        self.journal = Journal(folder, say, tensorboard=options.tensorboard and not self.rank)

    # -- the loop -----------------------------------------------------------------------------------------------------

    def run(self) -> dict[str, Any]:
        """Train to the end of the time box or of the steps, or to the pause; returns the last line of the log."""
        options = self.options
        began = time.perf_counter() - self.elapsed
        logged_at, saved_at, logged_step = self.elapsed, self.elapsed, self.step
        pause_at = math.inf if options.pause_minutes is None else self.elapsed + 60 * options.pause_minutes
        losses: list[Tensor] = []
        line: dict[str, Any] | None = None
        while True:
            self.elapsed = self._agreed(time.perf_counter() - began)
            self.progress = self._progress()
            if self.progress >= 1 or self.elapsed >= pause_at:
                break
            losses.append(self.learn(options.learning_rate(self.progress, self.step)))
            self.step += 1
            if self.step % CHECK_EVERY == 0 or len(losses) == 1:
                self._check(losses)
                if self.elapsed - logged_at >= options.log_every_s:
                    line = self._log(losses, (self.step - logged_step) / (self.elapsed - logged_at))
                    losses, logged_at, logged_step = [], self.elapsed, self.step
                if self.elapsed - saved_at >= options.save_every_s:
                    self.save()
                    saved_at = self.elapsed
        self._check(losses)
        if losses or line is None:
            line = self._log(losses, (self.step - logged_step) / max(self.elapsed - logged_at, 1e-9))
        self.save(scores=line.get("scores"))
        if self.ahead is not None:
            self.ahead.close()
        if self.progress < 1 and not self.rank:
            self.say(f"paused at {100 * self.progress:.0f} % of the schedule: go on with --resume")
        return line

    def leave(self) -> None:
        """Ends the group of processes that began with this run: left open, it may abort a process that ends."""
        if self.opened:
            torch.distributed.barrier()
            torch.distributed.destroy_process_group()

    def learn(self, rate: float) -> Tensor:
        """The loss of the step that is taken, at this learning rate; nothing here waits for the device."""
        curves, asked = self.batch(self.step) if self.ahead is None else self.ahead(self.step)
        loss = self.differentiate(curves, asked)
        self.descend(rate)
        return loss

    def batch(self, n: int) -> tuple[Curves, Questions]:
        """The examples of step n on this process."""
        random = generator(self.options.seed, BATCH, n, self.rank, device=self.device)
        return self._examples(self.options.batch, random)

    def differentiate(self, curves: Curves, asked: Questions) -> Tensor:
        """The loss of a batch, whose gradient is left in the parameters."""
        halved = self.options.precision == "bfloat16" and self.progress < 1 - self.options.exact
        with torch.autocast(self.device.type, torch.bfloat16, enabled=halved):
            log_density = self.network(curves, asked.after, asked.t_query, asked.answer, asked.kinds, asked.outcome)
        loss = -_mean(log_density, asked.valid)
        loss.backward()
        return loss.detach()

    def descend(self, rate: float) -> None:
        """Clip the gradient, move the parameters by it and forget it, update the averaged weights."""
        options = self.options
        nn.utils.clip_grad_norm_(self.objective.parameters(), options.clip)
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            weight = max(1 - options.ema, 1 / (self.step + 1))
            with torch.no_grad():
                parameters = [p.detach() for p in self.objective.parameters()]
                torch._foreach_lerp_(list(self.average.values()), parameters, weight)

    def _examples(self, batch: int, random: torch.Generator) -> tuple[Curves, Questions]:
        """Fresh runs, on which higher is better, and questions about them."""
        limit = self.options.model.limit
        curves = self.prior.sample_runs(batch, limit, LATER, generator=random).upward()
        return curves, draw(curves, self.law, limit, generator=random)

    def _progress(self) -> float:
        if self.options.steps is not None:
            return self.step / self.options.steps
        assert self.options.minutes is not None
        return self.elapsed / (60 * self.options.minutes)

    def _agreed(self, elapsed: float) -> float:
        """Seconds on the clock of rank 0, which rules, so that all processes take the same number of steps."""
        if self.world == 1:
            return elapsed
        clock = torch.tensor([elapsed], dtype=torch.float64)  # on the host, by gloo: nobody waits for a device
        torch.distributed.broadcast(clock, 0)
        return float(clock)

    def _check(self, losses: list[Tensor]) -> None:
        if losses and not math.isfinite(total := float(torch.stack(losses).sum())):
            raise NonfiniteLoss(
                f"the loss became {total} within the {len(losses)} steps before step {self.step}; the last good state "
                f"is in {self.folder}: lower lr (now {self.options.lr:g}) or set precision=float32, then use --resume"
            )

    # -- what is reported ---------------------------------------------------------------------------------------------

    def _draw_validation(self) -> Examination | None:
        count, random = self.options.validation_curves, generator(0, VALIDATION)
        if not count or self.rank:
            return None
        if isinstance(self.prior, SharedTimes):  # by the cut-offs of the LC-PFN paper, whose numbers these are
            times = torch.arange(1.0, self.prior.length + 1)
            made = Examination.by_cut(self.prior.sample(count, times, generator=random))
        else:
            made = Examination.by_kind(*self._examples(count, random))
        return made.to(self.device)

    @torch.no_grad()
    def validate(self, examination: Examination) -> dict[str, float]:
        """Mean log density of the answers by group, in nats.

        In float32, as checkpoints are used; averaged weights if there are any.
        """
        kept = {name: parameter.detach().clone() for name, parameter in self.objective.named_parameters()}
        self._put(self.average or {})
        means = examination.scores(self.objective)
        self._put(kept)
        return {name: round(mean, 4) for name, mean in means.items()}

    def _put(self, weights: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self.objective.named_parameters():
                if name in weights:
                    parameter.copy_(weights[name])

    def _log(self, losses: list[Tensor], steps_per_s: float) -> dict[str, Any]:
        line: dict[str, Any] = {
            "step": self.step,
            "seconds": round(self.elapsed, 1),
            "curves": self.step * self.options.batch * self.world,
            "curves_per_s": round(steps_per_s * self.options.batch * self.world, 1),
            "loss": round(float(torch.stack(losses).mean()), 4) if losses else None,
        }
        if self.device.type == "cuda":
            line["peak_gb"] = round(torch.cuda.max_memory_allocated(self.device) / 1e9, 2)
        if self.rank:
            return line
        if self.examined is not None:
            line["scores"] = self.validate(self.examined)
        left = max(0.0, self.elapsed * (1 / max(self.progress, 1e-9) - 1))
        self.journal.write(line, left)
        return line

    # -- what is kept -------------------------------------------------------------------------------------------------

    def save(self, scores: dict[str, float] | None = None) -> None:
        """Write the state and the checkpoint of rank 0."""
        if self.rank:
            return
        weights = {name: value.detach() for name, value in self.objective.model.named_parameters()}
        tensors = {f"weights.{name}": value for name, value in weights.items()}
        for name, value in (self.average or {}).items():
            tensors[f"average.{name}"] = value
        for name, optimizer in self.optimizers.items():
            state.pack(name, optimizer, tensors)
        facts = {"step": self.step, "elapsed": self.elapsed, "options": dataclasses.asdict(self.options)}
        facts["parent"] = self.parent
        state.save(self.folder / "state.safetensors", tensors, facts)
        if self.average is not None:
            weights = {name.removeprefix("model."): value for name, value in self.average.items()}
        options = self.options
        Checkpoint(
            config={
                "model": dataclasses.asdict(options.model),
                "coordinates": dataclasses.asdict(options.coordinates),
            },
            weights={name: value.float().cpu().numpy() for name, value in weights.items()},
            provenance=provenance(
                options,
                self.prior,
                curves_seen=self.step * options.batch * self.world,
                seconds=self.elapsed,
                scores=scores,
                parent=self.parent,
            ),
        ).write(self.folder / "checkpoint.safetensors", dtype=options.stored)

    def _load(self) -> None:
        tensors, facts = state.load(self.folder / "state.safetensors", str(self.device))
        now = json.loads(json.dumps(dataclasses.asdict(self.options)))
        before = {**facts["options"], **current(facts["options"])}
        now |= current(now)
        if before.get("prior_parameters", "{}") == "{}" and self.options.prior_parameters is None:
            # An older version wrote {} where nothing was given, or knew no parameters. An object of the user's was then
            # made anew with its class's defaults, so that it may be another prior than the one that is named.
            before["prior_parameters"] = None if ":" not in self.options.prior else "{}"
        for name in (
            "prior",
            "prior_parameters",
            "init",
            "batch",
            "questions",
            "optimizer",
            "seed",
            "model",
            "coordinates",
        ):
            if before.get(name) != now[name]:
                raise ValueError(
                    f"--resume needs the {name} that the run began with: {before.get(name)}, got {now[name]}"
                )
        self.step, self.elapsed, self.parent = facts["step"], facts["elapsed"], facts.get("parent")
        self._put({"model." + n.removeprefix("weights."): v for n, v in tensors.items() if n.startswith("weights.")})
        if self.average is not None:
            self.average = {name: tensors[f"average.{name}"].clone() for name in self.average}
        for name, optimizer in self.optimizers.items():
            state.unpack(name, optimizer, tensors)


def _mean(values: Tensor, valid: Tensor | None) -> Tensor:
    if valid is None:
        return values.mean()
    return torch.where(valid, values, 0.0).sum() / valid.sum().clamp(min=1)


def train(options: Options, folder: Path, **extra: Any) -> dict[str, Any]:
    """Train in `folder` (made if missing); see `Run` for the other arguments."""
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(options, folder, **extra)
    last = run.run()
    run.leave()
    if options.alarm_curves and run.objective.model.in_numpy and not run.rank:
        run.say(f"alarm: how high evidence climbs on {options.alarm_curves:,} curves of the prior")
        calibrate(folder / "checkpoint.safetensors", run.prior, options)
    return last
