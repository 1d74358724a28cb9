"""Learning curves from what people have at hand: the logs of training runs, found by what is in the files.

| written by | what is read |
| --- | --- |
| anything that writes tables | CSV, as of Keras' or Lightning's CSVLogger, and lists of numbers (`lcpfn.logs.table`) |
| TensorBoard writers | event files; several in one folder are restarts of one run |
| Hugging Face Trainer | `trainer_state.json`, that of the last checkpoint |
| Ray Tune | `result.json`, `progress.csv`, and other files of JSON lines with a time |
| Optuna | reported values: SQLite database, journal file |
| MLflow | SQLite database, the folders of `mlruns`, one file of a metric |

No package of any of these is needed.
"""

from lcpfn.logs.reader import read, runs

__all__ = ["read", "runs"]
