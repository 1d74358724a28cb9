"""The command line of training: every field of Options, ModelConfig and Coordinates is a flag."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import types
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lcpfn.network.config import ModelConfig
from lcpfn.network.coordinates import Coordinates
from lcpfn.training.loop import NonfiniteLoss, train
from lcpfn.training.options import PRESETS, Options
from lcpfn.training.transformer import QueryNetwork, Transformer

PARTS = ("model", "coordinates")  # of Options: dataclasses of their own


def parser(
    model: type[ModelConfig] = ModelConfig, coordinates: type[Coordinates] = Coordinates
) -> argparse.ArgumentParser:
    """The parser; defaults are left to the dataclasses."""
    command = argparse.ArgumentParser(
        prog="lcpfn train",
        description="Pretrain a network on a prior, for --minutes, or for --steps: then it can be repeated to the bit.",
        epilog="Your own prior: --prior my_module:prior (lcpfn.priors.own says what that is). Fine-tuning: --init "
        "paper begins with that checkpoint's weights. "
        "Several GPUs: torchrun --nproc-per-node=8 -m lcpfn.training --device cuda --preset large --minutes 9",
    )
    command.add_argument("--name", default="train", help="the run's folder under --runs (default: train)")
    command.add_argument("--runs", type=Path, default=Path("runs"), help="where runs are kept (default: runs)")
    command.add_argument(
        "--preset", choices=sorted(PRESETS), default="small", help="sizes of the network (default: small)"
    )
    command.add_argument("--resume", action="store_true", help="go on from the state in the run's folder")
    for cls, title in (
        (Options, "the run"),
        (model, "the network, instead of the preset's"),
        (coordinates, "its coordinates"),
    ):
        group = command.add_argument_group(title)
        hints = typing.get_type_hints(cls)
        for field in dataclasses.fields(cls):
            if field.name not in PARTS:
                flag = "--" + field.name.replace("_", "-")
                shown = "" if field.default is dataclasses.MISSING else f"(default: {field.default})"
                group.add_argument(flag, help=shown, default=argparse.SUPPRESS, **_reader(hints[field.name]))
    return command


def _reader(hint: Any) -> dict[str, Any]:
    """How argparse reads a field of this type."""
    if isinstance(hint, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not types.NoneType)
    if typing.get_origin(hint) is tuple:
        parts = typing.get_args(hint)
        if Ellipsis in parts:  # names of features, or shares of the kinds
            return {"type": parts[0], "nargs": "+", "metavar": "NAME" if parts[0] is str else "X"}
        return {"type": float, "nargs": len(parts), "metavar": "X"}
    if typing.get_origin(hint) is typing.Literal:  # checked by the dataclass, whose message says what came
        return {"type": str, "metavar": "|".join(typing.get_args(hint))}
    if hint is bool:
        return {"action": argparse.BooleanOptionalAction}
    return {"type": hint, "metavar": hint.__name__.upper()}


def options(
    arguments: argparse.Namespace,
    model: type[ModelConfig] = ModelConfig,
    coordinates: type[Coordinates] = Coordinates,
) -> Options:
    """The options that the flags stand for; `model` and `coordinates` are what the parser was made with.

    Raises:
        ValueError: if they do not fit together.
    """
    given = vars(arguments)

    def chosen(cls: type) -> dict[str, Any]:
        return {field.name: given[field.name] for field in dataclasses.fields(cls) if field.name in given}

    sizes = {**dataclasses.asdict(PRESETS[arguments.preset]), **chosen(model)}
    return Options(model=model(**sizes), coordinates=coordinates(**chosen(coordinates)), **chosen(Options))


def main(
    arguments: Sequence[str] | None = None,
    *,
    model: type[ModelConfig] = ModelConfig,
    coordinates: type[Coordinates] = Coordinates,
    network_of: Callable[[Any], type[QueryNetwork]] = lambda _: Transformer,
) -> int:
    """Train as the flags say.

    Args:
        arguments: of the command line; None: those of the process.
        model: class of the network's config, whose fields become flags.
        coordinates: class of its coordinates, the same.
        network_of: the class of the network that a config asks for.

    Returns:
        0 when done, 2 if a flag or a file is wrong, 3 if the loss became nonfinite, 130 if interrupted.
    """
    flags = parser(model, coordinates).parse_args(arguments)
    folder = flags.runs / flags.name
    try:
        if not flags.resume and (folder / "state.safetensors").exists():
            raise ValueError(f"{folder} holds a run already: go on with --resume, or choose another --name")
        chosen = options(flags, model, coordinates)
        train(chosen, folder, resume=flags.resume, network=network_of(chosen.model))
    except (ValueError, FileNotFoundError, ImportError) as error:
        print(f"lcpfn train: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # a disk that is full, most often
        print(
            f"lcpfn train: {error}; the last state that was written whole is in {folder}: make room, then use --resume",
            file=sys.stderr,
        )
        return 2
    except NonfiniteLoss as error:
        print(f"lcpfn train: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print(f"lcpfn train: interrupted; go on with --resume (state of the last minute in {folder})", file=sys.stderr)
        return 130
    if os.environ.get("RANK", "0") == "0":
        print(folder / "checkpoint.safetensors")
    return 0
