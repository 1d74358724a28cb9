"""What is installed: the door, the parts of the package, a light import, a whole wheel and sdist, examples that run."""

import doctest
import importlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

import lcpfn

ROOT = Path(__file__).resolve().parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
MAPPED: dict[str, str] = PROJECT["tool"]["setuptools"]["package-dir"]


def _folder(package: str) -> Path:
    """Where a package lies: setuptools maps a package with all below it."""
    if package in MAPPED:
        return ROOT / MAPPED[package]
    above, _, name = package.rpartition(".")
    return _folder(above) / name if above else ROOT / name


FOLDERS = {name: _folder(name) for name in PROJECT["tool"]["setuptools"]["packages"]}
HEAVY = {"torch", "jax", "matplotlib", "pandas", "scipy.stats", "scipy.optimize", "scipy.integrate"}
FRAMEWORKS = {"lightning", "transformers", "keras", "ray", "syne_tune"}  # the tests of each run its example
MODULES = sorted(
    f"{package}.{path.stem}".removesuffix(".__init__")
    for package, folder in FOLDERS.items()
    for path in folder.glob("*.py")
    if path.stem != "__main__"  # running it is its only purpose
    and not (package == "lcpfn.integrations" and path.stem in FRAMEWORKS)
)


def python(code: str, *, cwd: Path, path: Path | None = None) -> str:
    """What the code prints in a fresh interpreter, started in a folder, with `path` before everything installed."""
    env = {**os.environ, "PYTHONPATH": str(path)} if path else dict(os.environ)
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_door() -> None:
    assert lcpfn.__all__ == ["Belief", "Checkpoint", "Curve", "Metric", "PFN", "Replay", "Stream", "load"]
    assert all(hasattr(lcpfn, name) for name in lcpfn.__all__)
    assert {*lcpfn.__all__, "__version__", "stopping", "logs"} < set(dir(lcpfn))
    code = "import lcpfn; print(lcpfn.stopping.__name__, lcpfn.logs.__name__)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.split() == ["lcpfn.stopping", "lcpfn.logs"], "parts are there without an import of their own"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        lcpfn.nothing  # noqa: B018


def test_version_is_the_one_in_pyproject() -> None:
    """When this fails alone, the checkout moved on after `pip install -e .`: run it again."""
    project = PROJECT["project"]
    assert lcpfn.__version__ == version(project["name"]) == project["version"]


def test_packages_are_the_folders() -> None:
    found = {
        ".".join([package, *path.parent.relative_to(folder).parts])
        for package, folder in ((name, _folder(name)) for name in ("lcpfn", *MAPPED))
        for path in folder.rglob("*.py")
    }
    assert found == set(PROJECT["tool"]["setuptools"]["packages"])
    for name in found:
        assert (FOLDERS[name] / "__init__.py").is_file()


def test_import_is_light(tmp_path: Path) -> None:
    code = f"""if True:
        import sys, time
        start = time.perf_counter()
        import lcpfn
        print(time.perf_counter() - start)
        print(sorted({HEAVY!r} & set(sys.modules)))"""
    took, heavy = python(code, cwd=tmp_path).splitlines()
    print(f"import lcpfn took {float(took):.2f} s")  # shown with -s; a time is no reason to fail
    assert heavy == "[]"


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "jax", "matplotlib", "optuna"):
            raise
        pytest.skip(f"{name} needs {error.name}")
    assert doctest.testmod(module).failed == 0


def _copy(target: Path) -> Path:
    """The checkout without what builds, tests and environments left in it."""
    junk = shutil.ignore_patterns(".*", "build", "dist", "runs", "*.egg-info", "__pycache__")
    return Path(shutil.copytree(ROOT, target, ignore=junk))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("built")
    source = _copy(folder / "source")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(source)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def _parts(*patterns: str) -> set[str]:
    """The files of the package as they must lie in a wheel."""
    return {
        f"{package.replace('.', '/')}/{path.name}"
        for package, folder in FOLDERS.items()
        for pattern in patterns
        for path in folder.glob(pattern)
    }


def test_wheel_holds_the_package_and_nothing_else(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert _parts("*.safetensors"), "no weights to ship"
    assert names >= _parts("*.py", "py.typed", "*.safetensors")
    assert names == _parts("*.py", "py.typed", "*.safetensors", "*.md", "*.json")


def test_sdist_holds_what_the_tests_need(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    here = {str(path.relative_to(ROOT)) for folder in FOLDERS.values() for path in folder.glob("*.py")}
    assert names >= here | {"LICENSE", "README.md", "pyproject.toml"}
    assert names >= {f"checkpoints/{path.name}" for path in FOLDERS["lcpfn.checkpoints"].glob("*.safetensors")}
    assert not [name for name in names if name.startswith(("benchmarks/", "runs/", "build/"))]


@pytest.fixture(scope="module")
def unpacked(built: Path) -> Path:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        wheel.extractall(built / "unpacked")
    return built / "unpacked"


def test_wheel_predicts_without_torch_and_jax(unpacked: Path, tmp_path: Path) -> None:
    code = """if True:
        import sys
        sys.modules |= dict.fromkeys(["torch", "jax", "matplotlib", "pandas"])  # importing them fails
        import numpy as np, lcpfn
        print(lcpfn.__file__)
        print(lcpfn.load().predict(np.array([0.3, 0.5, 0.6]), horizon=20).median()[-1])"""
    file, median = python(code, cwd=tmp_path, path=unpacked).splitlines()
    assert file.startswith(str(unpacked))
    assert 0.3 < float(median) < 1


def test_a_checkout_that_is_not_installed_is_refused(tmp_path: Path) -> None:
    """Its lcpfn/ would be mixed with the priors of the installed one, silently."""
    other = _copy(tmp_path / "other")
    done = subprocess.run([sys.executable, "-c", "import lcpfn"], cwd=other, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert re.search(r"ImportError: .*other is a checkout .* `pip install -e \.`", done.stderr)


def test_readme_and_contributing_agree_on_the_two_commands() -> None:
    def commands(name: str) -> list[str]:
        lines = (ROOT / name).read_text().splitlines()
        return [line for line in lines if line.startswith(("python3 -m venv .venv", ".venv/bin/pip install -q "))]

    assert commands("README.md")[:2] == commands("CONTRIBUTING.md")[:2]
    assert len(commands("README.md")) == 2


def test_constraints_pin_every_requirement() -> None:
    pins = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if line.strip() and not line.startswith("#")
    )
    project = PROJECT["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    wanted = {re.split(r"[\[>=<]", line)[0] for line in project["dependencies"] + extras} - {project["name"]}
    assert wanted <= set(pins)
