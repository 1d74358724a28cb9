"""The command `lcpfn`: what it takes, and how it ends; what it does stands in `lcpfn.cli.commands`."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence

import lcpfn

FAILED, INTERRUPTED, BROKEN_PIPE = 2, 130, 141  # exit codes; the last two as a shell reports SIGINT and SIGPIPE

EXAMPLES = """examples:
  lcpfn demo
  lcpfn predict log.csv --horizon 100 --plot forecast.png
  lcpfn predict log.csv --metric val_error --horizon 100 --incumbent 0.08
  lcpfn predict lightning_logs/version_0 --metric val_acc --horizon 100
  echo 0.31 0.42 0.48 0.52 | lcpfn predict - --at 50,100 --json
"""
CHECKPOINT = "name of a shipped one, or a .safetensors file (default: %(default)s)"
KINDS = ("value", "signal", "best")  # those of lcpfn.query, which would load NumPy for --help; a test keeps them equal


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of the command: 0, 2 after an error, 130 after Ctrl-C, 141 if nobody reads the answer."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a column's name must not stop an ASCII terminal
    try:
        code = _run(arguments)
        sys.stdout.flush()  # here, so that a reader who left is noticed inside the try
        return code
    except SystemExit as error:  # argparse: --help, --version, wrong usage
        return error.code if isinstance(error.code, int) else FAILED
    except KeyboardInterrupt:
        print("lcpfn: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it flushes at exit
        return BROKEN_PIPE
    except OSError as error:
        message = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
        print(f"lcpfn: {message}", file=sys.stderr)
        return FAILED
    except (ValueError, ImportError) as error:  # what the library raises for wrong input and missing extras
        print(f"lcpfn: {error}", file=sys.stderr)
        return FAILED


def _run(arguments: list[str]) -> int:
    if arguments[:1] == ["train"]:  # its flags are made from its own options, and need torch to be asked for
        from lcpfn.cli import commands

        return commands.train(arguments[1:])
    options = parser().parse_args(arguments)
    if options.command == "calibrate":
        from lcpfn.cli import calibrate

        return calibrate.calibrate(options)
    if options.command == "verify":
        from lcpfn.cli import verify

        return verify.verify(options)
    from lcpfn.cli import commands

    run = {"predict": commands.predict, "demo": commands.demo, "info": commands.info}[options.command]
    return run(options)


def parser() -> argparse.ArgumentParser:
    """The parser of `lcpfn` and its subcommands, but for `train`, whose flags are made from its options."""
    whole = argparse.ArgumentParser(
        prog="lcpfn",
        description="Calibrated beliefs about the rest of a learning curve.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    whole.add_argument("--version", action="version", version=f"lcpfn {lcpfn.__version__}")
    commands = whole.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_predict(commands)
    demo = commands.add_parser(
        "demo",
        help="forecast a recorded curve after 20 of its 100 epochs, next to what happened",
        description="Forecasts a recorded learning curve and shows what happened; writes a picture, prints a table.",
        allow_abbrev=False,
    )
    # The names of lcpfn.cli.demo.CURVES; a test keeps them equal. Reading them there would load NumPy for --help.
    demo.add_argument("--curve", choices=("slow", "fast", "noisy"), default="slow", help="default: slow")
    demo.add_argument("--observe", type=_count, default=20, metavar="N", help="epochs that are seen (default: 20)")
    demo.add_argument("--out", metavar="FILE", help="the picture (default: lcpfn-demo.png); its ending says the format")
    _add_checkpoint(demo)
    info = commands.add_parser(
        "info",
        help="what a checkpoint is and where it comes from",
        description="Prints a checkpoint's size, digest, configuration and provenance.",
        allow_abbrev=False,
    )
    info.add_argument("checkpoint", nargs="?", default="default", metavar="CHECKPOINT", help=CHECKPOINT)
    info.add_argument("--json", action="store_true", help="print JSON")
    _add_calibrate(commands)
    _add_verify(commands)
    commands.add_parser("train", help="train a network on a prior (needs torch); lcpfn train --help lists its flags")
    return whole


def _add_predict(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    predict = commands.add_parser(
        "predict",
        help="forecast a learning curve from the log of a run, a CSV file or a list of numbers",
        description="Forecasts a learning curve: prints a table, or JSON, and draws a picture.",
        epilog="Logs that are read, alone or in a folder: CSV (Keras, Lightning), TensorBoard event files "
        "and downloads, .wandb files and panel exports (Weights & Biases), trainer_state.json (Hugging Face), "
        "result.json and progress.csv (Ray Tune), JSON lines, Optuna (SQLite, journal), MLflow (SQLite, mlruns), "
        "folders of DVCLive and CatBoost, evaluations as JSON (XGBoost, LightGBM, Keras, pandas), .npz "
        "(Stable-Baselines3), .csv.zip (Syne Tune), and what a run printed (--pattern). Lists that start with a minus "
        "sign need an equals sign: --bounds=-1,1",
        allow_abbrev=False,
    )
    _add_curve(predict)
    question = _add_question(predict)
    question.add_argument(
        "--run-end",
        type=_number,
        metavar="T",
        help="the run stops at this time: its schedule may raise it towards the end",
    )
    question.add_argument(
        "--others",
        metavar="FOLDER",
        help="logs of other runs of the same search, finished or not: the forecast learns how they went on",
    )
    question.add_argument(
        "--incumbent",
        type=_number,
        metavar="Y",
        help="a value to beat: adds P(beaten by then), and a stop card (for a run that ends with the forecast)",
    )
    question.add_argument(
        "--level",
        type=_number,
        default=0.05,
        metavar="P",
        help="for the stop card: accepted chance that a run which would beat the incumbent is stopped (default: 0.05)",
    )
    question.add_argument(
        "--rivals",
        type=_count,
        metavar="N",
        help="for it: the incumbent is the best of so many runs, whose odds count where they are higher than those "
        "that the run itself had after its first point (default: these alone)",
    )
    answer = predict.add_argument_group("the answer")
    answer.add_argument("--json", action="store_true", help="print JSON, with all steps")
    answer.add_argument("--plot", metavar="FILE", help="draw curve and fan; the ending says the format (png, svg, pdf)")


def _add_curve(parser: argparse.ArgumentParser) -> None:
    curve = parser.add_argument_group("the curve")
    curve.add_argument(
        "file", metavar="PATH", help="a log, a folder with one, a CSV or a bare list; - for standard input"
    )
    curve.add_argument(
        *("--metric", "--column"),
        dest="column",
        metavar="NAME",
        help="values, by name or number (default: val_accuracy, accuracy, ... or the only column of numbers)",
    )
    curve.add_argument(
        "--pattern",
        metavar="REGEX",
        help="how to read a printed log: keras, nanogpt, megatron, xgboost, lightgbm, catboost, fairseq, mmdet, "
        "detectron2, transformers, imagenet, epochs, or 'step (?P<t>\\d+).*loss (?P<y>[\\d.eE+-]+)' (default: the "
        "first of these that fits)",
    )
    curve.add_argument(
        "--run",
        metavar="NAME",
        help="which run, where a folder or a database holds several, or a table: trial_id=3",
    )
    curve.add_argument("--time-column", metavar="NAME", help='times, by name or number; "rows" counts rows from 1')
    curve.add_argument(
        "--observe", type=_count, metavar="N", help="see the first N values only, keep the rest as truth"
    )
    metric = parser.add_argument_group("the metric (default: by its name, else that of the checkpoint)")
    metric.add_argument("--direction", choices=("max", "min"), help="max: higher is better; min: lower is better")
    metric.add_argument(
        "--bounds", type=_bounds, metavar="LOW,HIGH", help="possible values, as in 0,100; 0, if open above"
    )


def _add_question(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    question = parser.add_argument_group("the question")
    question.add_argument("--horizon", type=_number, metavar="T", help="forecast all steps up to this time")
    question.add_argument("--at", type=_numbers, metavar="T,T,...", help="forecast these times alone")
    question.add_argument(
        "--kind",
        choices=KINDS,
        default="value",
        help="value: what will be measured (default); signal: without noise; best: the best value until then",
    )
    question.add_argument("--stretch-time", action="store_true", help="map the times on those the checkpoint knows")
    _add_checkpoint(question)
    return question


def _add_verify(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verify = commands.add_parser(
        "verify",
        help="judge the forecast of one curve by the exact posterior of its prior (needs jax, numpyro; seconds)",
        description="Forecasts a curve twice, by the network and by sampling the posterior of the prior that the "
        "network was trained on, and says how far they are apart. It tells whether the network computed what its prior "
        "implies here, not whether the prior fits the curve.",
        allow_abbrev=False,
    )
    _add_curve(verify)
    _add_question(verify)
    verify.set_defaults(checkpoint="paper")  # a prior with a density
    reference = verify.add_argument_group("the reference")
    reference.add_argument("--particles", type=_count, default=4096, metavar="N", help="of a run (default: 4096)")
    reference.add_argument("--runs", type=_count, default=4, metavar="N", help="independent ones (default: 4)")
    reference.add_argument("--seed", type=_count, default=0, metavar="N", help="of its randomness (default: 0)")
    answer = verify.add_argument_group("the answer")
    answer.add_argument("--json", action="store_true", help="print JSON, with all steps")
    answer.add_argument("--plot", metavar="FILE", help="draw both fans; the ending says the format (png, svg, pdf)")


def _add_calibrate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    calibrate = commands.add_parser(
        "calibrate",
        help="how well a checkpoint is calibrated on fresh curves of a prior (needs torch)",
        description="Asks a checkpoint about curves of a prior, and says whether its answers mean what they say.",
        allow_abbrev=False,
    )
    _add_checkpoint(calibrate)
    calibrate.set_defaults(checkpoint="paper")  # the general prior's curves share no bounds
    calibrate.add_argument(
        "--prior",
        metavar="NAME",
        help="of the curves, also module:object (default: the checkpoint's own, if it is one of this package)",
    )
    calibrate.add_argument(
        "--trust-prior",
        action="store_true",
        help="import the module:object that the checkpoint names, which runs its code; its name is printed first",
    )
    calibrate.add_argument("--curves", type=_count, default=300, metavar="N", help="how many (default: 300)")
    cuts = (10, 20, 40, 80)  # lcpfn.calibration.CUTS; a test keeps them equal, as for the demo's curves
    calibrate.add_argument(
        "--cuts", type=_counts, default=cuts, metavar="N,N,...", help="points seen (default: 10,20,40,80)"
    )
    calibrate.add_argument("--kind", choices=(*KINDS, "all"), default="value", help="of the questions (default: value)")
    calibrate.add_argument(
        "--draws", type=_count, default=20, metavar="N", help="of several values together; 0: none (default: 20)"
    )
    calibrate.add_argument("--seed", type=_count, default=0, metavar="N", help="of curves and questions (default: 0)")
    calibrate.add_argument("--out", metavar="FOLDER", help="draw pictures into this folder")
    calibrate.add_argument("--json", action="store_true", help="print JSON")


def _add_checkpoint(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--checkpoint", default="default", metavar="NAME", help=CHECKPOINT)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number from 0, got {text!r}")
    return int(text)


def _counts(text: str) -> tuple[int, ...]:
    return tuple(_count(part) for part in text.split(","))


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):  # also true of nan
        raise argparse.ArgumentTypeError(f"must be a finite number, got {text!r}")
    return value


def _numbers(text: str) -> list[float]:
    return [_number(part) for part in text.split(",")]


def _bounds(text: str) -> tuple[float | None, float | None]:
    parts = text.split(",")
    if len(parts) != 2:
        raise argparse.ArgumentTypeError(
            f"must be LOW,HIGH, as in 0,1 (leave a side empty if it is open), got {text!r}"
        )
    low, high = (_number(part) if part.strip() else None for part in parts)
    return low, high


if __name__ == "__main__":
    sys.exit(main())
