"""Learning curves from what people have at hand: the logs of training runs, found by what is in the files.

| written by | what is read |
| --- | --- |
| anything that writes tables | CSV, as of Keras' or Lightning's CSVLogger, and lists of numbers (`lcpfn.logs.table`) |
| TensorBoard writers | event files; several in one folder are restarts of one run |
| Hugging Face Trainer | `trainer_state.json`, that of the last checkpoint |
| Ray Tune | `result.json`, `progress.csv`, and other files of JSON lines with a time |
| Optuna | reported values: SQLite database, journal file |
| MLflow | SQLite database, the folders of `mlruns`, one file of a metric |
| Weights & Biases | `.wandb` files, of live and offline runs too; exports of panels, with several runs |
| TensorBoard's page | the CSV and the JSON that it hands out; the file's name says run and metric |
| DVCLive, CatBoost | their folders of `.tsv` |
| XGBoost, LightGBM, Keras, pandas | one JSON document of evaluations, `evals_result()` or a table |
| Stable-Baselines3 | `evaluations.npz`, and other arrays of NumPy, without pickles |
| Syne Tune | `results.csv.zip` |
| what a run printed | the tools of `lcpfn.logs.presets`, or any by a regular expression |

No package of any of these is needed.
"""

from lcpfn.logs.reader import read, runs

__all__ = ["read", "runs"]
