"""What the sources look like: who imports whom, names, sizes, docstrings. Failures name file and line."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = {  # folder -> how its modules are imported
    "lcpfn": "lcpfn",
    "priors": "lcpfn.priors",
    "training": "lcpfn.training",
    "checkpoints": "lcpfn.checkpoints",
    "benchmarks": "benchmarks",
    "examples": "examples",
    "tests": "tests",
}
INSTALLED = ("lcpfn", "priors", "training", "checkpoints")
ALLOWED = {  # folder -> parts of the project that it may import, besides itself
    "lcpfn": {"checkpoints"},
    "priors": set(),
    "training": {"lcpfn", "priors"},
    "checkpoints": set(),
    "benchmarks": {"lcpfn", "priors", "training", "checkpoints"},
    "examples": {"lcpfn", "priors", "training", "checkpoints"},
    "tests": {"lcpfn", "priors", "training", "checkpoints"},
}
# Inside lcpfn/ a module or folder imports from its own tier or one before it, and no module in a circle; the door
# `lcpfn` itself is open only to those after it.
TIERS = (
    ("arrays", "files", "frozen", "metric", "names"),
    ("curve",),
    ("logs", "context"),
    ("query",),
    ("distributions", "network"),
    ("belief",),
    ("clock", "engine", "prepare", "surprise"),
    ("inference",),
    ("others",),
    ("pfn", "stream"),
    ("mcmc",),
    ("__init__",),
    ("plot",),
    ("calibration",),
    ("stopping",),
    ("integrations",),
    ("cli", "__main__"),
)
FRAMEWORKS = ("lightning", "transformers", "keras", "ray", "syne-tune")  # extras of an environment of their own
VAGUE = {"utils", "util", "common", "misc", "base", "helpers"}
MAX_LINES = 400
TEXT = {".py", ".md", ".toml", ".txt", ".json", ".jsonl", ".yml", ".cfg", ""}
# Absolute paths of some machine, and the advice to install what on PyPI is another project's package.
FORBIDDEN = re.compile(r"(?<![\w./~-])/(?:work|tmp|root|home|Users)/|pip install '?\"?lcpfn(?![-\w])")

SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
TREES = {path: ast.parse(path.read_text(), str(path)) for path in SOURCES}
Import = tuple[int, str]  # line, absolute name


def folder(path: Path) -> str:
    return path.relative_to(ROOT).parts[0]


def place(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def module_name(path: Path) -> str:
    """The name by which a file of the project is imported."""
    where = folder(path)
    parts = [FOLDERS[where], *path.relative_to(ROOT / where).with_suffix("").parts]
    return ".".join(parts).removesuffix(".__init__")


MODULES = {module_name(path) for path in SOURCES}


def imports(tree: ast.Module) -> Iterator[Import]:
    """Everything imported at run time; `from package import module` counts as the module."""
    only_types = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for statement in block.body
        for node in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if id(node) in only_types:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = "." * node.level + (node.module or "")
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                yield node.lineno, inner if {inner, f"benchmarks.{inner}"} & MODULES else source


def owner(name: str) -> str | None:
    """The folder that an imported name belongs to, None if it is not ours."""
    for where, package in sorted(FOLDERS.items(), key=lambda item: -len(item[1])):
        if name == package or name.startswith(package + "."):
            return where
    return None


def tier(module: str) -> int:
    """The place of a module of lcpfn/ in TIERS; that it has one is a test of its own."""
    return next((i for i, names in enumerate(TIERS) if module in names), 0)


def part(path: Path) -> str:
    """The module of lcpfn/ that the file is, or its folder there."""
    return path.relative_to(ROOT / "lcpfn").parts[0].removesuffix(".py")


def wrong_arrow(path: Path, name: str) -> str | None:
    """Why the file must not import the name, None if it may."""
    here, there = folder(path), owner(name)
    if name.startswith("."):
        return "relative import"
    if name.split(".")[0] in ("priors", "training", "checkpoints"):
        return f"a second copy of lcpfn.{name}"
    if there is None:
        return None
    if here != there:
        mcmc = here == "lcpfn" and part(path) == "mcmc" and there == "priors"
        return None if there in ALLOWED[here] or mcmc else f"{here} may not import {there}"
    if here == "lcpfn":
        target = name.split(".")[1] if "." in name else "__init__"
        if tier(target) > tier(part(path)):
            return f"lcpfn.{part(path)} stands below lcpfn.{target}"
    return None


def test_every_module_of_the_library_has_its_tier() -> None:
    placed = [name for names in TIERS for name in names]
    assert sorted(placed) == sorted({part(path) for path in (ROOT / "lcpfn").rglob("*.py")})


def test_imports_follow_the_arrows() -> None:
    wrong = [
        f"{place(path, line)}: {reason} ({name})"
        for path, tree in TREES.items()
        for line, name in imports(tree)
        if (reason := wrong_arrow(path, name))
    ]
    assert not wrong, "\n".join(wrong)


# Arrows that no import statement shows: a command asks for what needs an extra when it is asked for itself.
LAZY = {
    ("lcpfn/__init__.py", "lcpfn."),  # the door: a name's home, or a part, by its name
    ("lcpfn/cli/calibrate.py", "lcpfn.priors"),
    ("lcpfn/cli/calibrate.py", "lcpfn.priors.names"),
    ("lcpfn/cli/commands.py", "lcpfn.training.command"),
    ("lcpfn/cli/verify.py", "lcpfn.mcmc"),
    ("lcpfn/cli/verify.py", "lcpfn.mcmc.verification"),
}


def lazy(path: Path, tree: ast.Module) -> set[tuple[str, str]]:
    """The modules of ours that a file imports by a string, with the file."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args)
    found = (call.args[0] for call in calls if ast.unparse(call.func).endswith(("import_module", "__import__")))
    names = (part for name in found for part in ast.walk(name) if isinstance(part, ast.Constant))
    return {
        (path.relative_to(ROOT).as_posix(), part.value)
        for part in names
        if isinstance(part.value, str) and part.value.startswith("lcpfn.")
    }


def test_the_lazy_arrows_are_known_by_name() -> None:
    found = {arrow for path in SOURCES if folder(path) in INSTALLED for arrow in lazy(path, TREES[path])}
    assert found == LAZY
    hidden = ast.parse('importlib.import_module(f"lcpfn.{name}")\nimport_module("lcpfn.mcmc")\nimport_module("torch")')
    assert {name for _, name in lazy(ROOT / "lcpfn" / "pfn.py", hidden)} == {"lcpfn.", "lcpfn.mcmc"}


def test_private_names_stay_where_they_are() -> None:
    wrong = [
        f"{place(path, node.lineno)}: {alias.name} of {node.module} is private"
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and owner(node.module or "") is not None
        for alias in node.names
        if alias.name.startswith("_")
    ]
    assert not wrong, "\n".join(wrong)


def test_imports_do_not_run_in_circles() -> None:
    """Imports inside functions count: a circle cut in one place is still one thing in two files."""
    graph = {
        module_name(path): {
            known
            for _, name in imports(tree)
            for known in ({name, f"benchmarks.{name}"} if folder(path) == "benchmarks" else {name}) & MODULES
        }
        - {"lcpfn", module_name(path)}
        for path, tree in TREES.items()
    }
    TopologicalSorter(graph).prepare()  # a CycleError names the circle


@pytest.mark.parametrize(
    ("path", "statement"),
    [
        ("priors/curves.py", "from lcpfn.metric import Metric"),
        ("priors/curves.py", "import lcpfn"),
        ("priors/curves.py", "from priors import paper"),
        ("training/loop.py", "from lcpfn import checkpoints"),
        ("lcpfn/belief.py", "from lcpfn import pfn"),
        ("lcpfn/belief.py", "import lcpfn"),
        ("lcpfn/metric.py", "def f():\n    from lcpfn.belief import Belief"),
        ("lcpfn/pfn.py", "import lcpfn.priors.paper"),
        ("lcpfn/pfn.py", "from .belief import Belief"),
        ("lcpfn/plot.py", "import training.loop"),
        ("lcpfn/stopping/stopper.py", "from lcpfn.integrations import optuna"),
        ("tests/test_pfn.py", "from benchmarks import report"),
        ("benchmarks/report/documents.py", "import tests.contracts"),
    ],
)
def test_a_wrong_import_is_found(path: str, statement: str) -> None:
    assert any(wrong_arrow(ROOT / path, name) for _, name in imports(ast.parse(statement)))


@pytest.mark.parametrize(
    ("path", "statement"),
    [
        ("lcpfn/mcmc/sampler.py", "from lcpfn.priors import paper"),
        ("lcpfn/pfn.py", "from lcpfn.belief import Belief"),
        ("lcpfn/belief.py", "if TYPE_CHECKING:\n    from lcpfn.pfn import PFN"),
        ("lcpfn/cli/parser.py", "import lcpfn\nimport torch"),
        ("lcpfn/integrations/optuna.py", "from lcpfn.stopping import Policy"),
        ("priors/paper.py", "from lcpfn.priors.curves import Curves"),
        ("benchmarks/report/documents.py", "import lcpfn.training"),
        ("tests/test_pfn.py", "import contracts"),
    ],
)
def test_a_right_import_passes(path: str, statement: str) -> None:
    assert not any(wrong_arrow(ROOT / path, name) for _, name in imports(ast.parse(statement)))


def test_what_is_imported_is_declared_and_the_other_way_round() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = {"core": project["dependencies"], **project["optional-dependencies"]}
    names = {extra: {re.split(r"[\[>=<]", line)[0] for line in lines} for extra, lines in lists.items()}
    modules = {"scikit-learn": "sklearn", "arviz-stats": "arviz_stats", "syne-tune": "syne_tune"}
    declared = {name: modules.get(name, name) for extra in names.values() for name in extra}
    # Run as commands, or by one.
    elsewhere = {"build", "setuptools", "mypy", "ruff", "sphinx", "furo", "myst-parser", "pytest-xdist"}
    parts = {"core", "train", "plot"}
    more_of = {"training": {"tensorboard"}, "lcpfn": {"mcmc", "optuna", *FRAMEWORKS}}
    allowed = {
        where: {declared[name] for extra in parts | more for name in names[extra]} | set(sys.stdlib_module_names)
        for where, more in [
            *((name, more_of.get(name, set())) for name in INSTALLED),
            ("benchmarks", {"bench", "mcmc", "optuna"}),
            ("examples", {"optuna", *FRAMEWORKS}),
            ("tests", {"test", "mcmc", "tensorboard", "optuna", *FRAMEWORKS}),
        ]
    }
    used, wrong = set(), []
    for path, tree in TREES.items():
        neighbours = {each.stem for each in (ROOT / folder(path)).iterdir()}  # as scripts and tests import them
        for line, name in imports(tree):
            top = name.split(".")[0]
            used.add(top)
            if top not in allowed[folder(path)] | neighbours and owner(name) is None:
                wrong.append(f"{place(path, line)}: {top} is in no extra that this folder may count on")
    assert not wrong, "\n".join(wrong)
    assert set(declared.values()) - used - elsewhere <= {project["name"]}


def test_files_stay_short() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in SOURCES}
    long = [f"{place(path, n)}: {MAX_LINES} lines at most" for path, n in lengths.items() if n > MAX_LINES]
    assert not long, "\n".join(long)


def test_names_say_what_is_inside() -> None:
    vague = [place(path, 1) for path in SOURCES if VAGUE & {*path.parent.parts[len(ROOT.parts) :], path.stem}]
    assert not vague, f"name the thing inside instead: {vague}"


def test_init_files_hold_only_imports() -> None:
    """The library's own one also has the guard (private names, one if that raises) and the lazy door."""
    wrong = []
    for path in (path for path in SOURCES if path.name == "__init__.py"):
        guard = folder(path) == "lcpfn"
        for node in TREES[path].body:
            match node:
                case ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
                    continue
                case ast.Assign(targets=[ast.Name(id="__all__")]):
                    continue
                case ast.Assign(targets=[ast.Name(id=name)]) if guard and name.startswith("_"):
                    continue
                case ast.If(body=[ast.Raise()], orelse=[]) | ast.If(test=ast.Name(id="TYPE_CHECKING")) if guard:
                    continue
                case ast.FunctionDef(name="__getattr__" | "__dir__") if guard:
                    continue
            wrong.append(f"{place(path, node.lineno)}: {ast.unparse(node).splitlines()[0]}")
    assert not wrong, "\n".join(wrong)


def undocumented(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Public functions, classes and methods without a docstring; dunder methods explain themselves."""
    for node in tree.body:
        inner = node.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_") else []
        for thing in (node, *inner):
            named = isinstance(thing, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            if named and not thing.name.startswith("_") and not ast.get_docstring(thing):
                yield thing.lineno, thing.name


def test_public_things_are_documented() -> None:
    missing = [
        f"{place(path, line)}: {name} has no docstring"
        for path, tree in TREES.items()
        if folder(path) in INSTALLED
        for line, name in undocumented(tree)
    ]
    assert not missing, "\n".join(missing)


def test_the_tree_speaks_of_no_machine() -> None:
    top = [path for path in ROOT.iterdir() if path.is_file() and path.name != ".git"]  # a file in a work tree
    top.append(ROOT / ".ci" / "run")
    inside = [path for name in FOLDERS for path in (ROOT / name).rglob("*") if "__pycache__" not in path.parts]
    wrong = [
        f"{place(path, number)}: {line.strip()[:100]}"
        for path in top + inside
        if path.is_file() and path.suffix in TEXT and path != Path(__file__).resolve()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if FORBIDDEN.search(line)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("line", "bad"),
    [
        ("read('/home/me/x')", True),
        ("see /work/notes", True),
        ("pip install 'lcpfn[plot]'", True),
        ("pip install lcpfn", True),
        ("https://example.org/home/page", False),
        ("../work/x", False),
        ("pip install lcpfn-beliefs", False),
    ],
)
def test_words_that_are_forbidden(line: str, bad: bool) -> None:
    assert bool(FORBIDDEN.search(line)) is bad
