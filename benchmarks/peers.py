"""Ours, its peers and classical solvers on the same problems: same clock, test points, seconds, machine, in one run.

    pip install -e ".[bench]"
    python benchmarks/peers.py

writes results/peers.md (frozen, trained, classical: three tables) and results/peers.png. Every run is a process of its
own with the same number of threads; methods take turns, so that a slow spell of the machine meets all of them. Runs
are kept in results/peers.json by row, method, seed, seconds, threads and code, so that a run that was stopped goes on.
Peers that are not installed are left out, and named. On two quiet cores all of it takes {minutes:.0f} minutes at most,
less where ours meets its tolerance early.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import tyro
from peers.methods import CLASSICAL_SECONDS, METHODS, OURS, takes_part
from peers.protocol import Method, Run, spawn
from peers.tables import against_classical, against_peers
from rows import ROWS

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results"
START = 4.0
"""Seconds that a process takes to import what it needs."""
LATER = ("pina", "neurodiffeq")


@dataclass(frozen=True)
class Options:
    """Which rows and methods, how often, with how many seconds a run.

    ``seeds``: of ours; ``peer_seeds``: of the peers. ``budget``: of every run but the classical ones.
    ``every``: PINA and neurodiffeq too, which train as DeepXDE does but slower.
    ``python``: ``NAME=PATH``, the interpreter for a package that cannot share this one's environment.
    """

    rows: tuple[str, ...] = tuple(ROWS)
    methods: tuple[str, ...] = tuple(m for m in METHODS if m not in LATER)
    every: bool = False
    seeds: int = 5
    peer_seeds: int = 1
    budget: float = 15.0
    threads: int = min(2, os.cpu_count() or 1)
    python: tuple[str, ...] = ()


@dataclass(frozen=True)
class Turn:
    """One run to make."""

    row: str
    method: Method
    seed: int
    seconds: float

    def key(self, options: Options) -> str:
        """What the kept result stands for; a change of the code it ran makes it another."""
        return f"{self.row} / {self.method.name} / seed {self.seed} / {self.seconds:g} s / {options.threads} threads / {code(self.method)}"  # noqa: E501


def schedule(options: Options) -> list[Turn]:
    """Row by row, seed by seed, ours and the peers in turn."""
    turns = []
    for row in options.rows:
        for seed in range(max(options.seeds, options.peer_seeds)):
            for method in chosen(options):
                count = options.seeds if method.name in OURS.values() else options.peer_seeds
                count = min(count, 1) if method.kind == "classical" else count
                if seed < count and takes_part(method, row):
                    seconds = CLASSICAL_SECONDS if method.kind == "classical" else options.budget
                    turns.append(Turn(row, method, seed, seconds))
    return turns


def chosen(options: Options) -> list[Method]:
    """The methods asked for, in the order of their turns."""
    return [m for m in METHODS.values() if m.name in options.methods or (options.every and m.name in LATER)]


def longest(turns: list[Turn]) -> float:
    """Seconds at most, imports included; least squares and FastLSQ end long before, and are counted with a quarter."""
    share = {"frozen": 0.25, "trained": 1.0, "classical": 0.6}
    return sum(START + share[t.method.kind] * t.seconds for t in turns)


def code(method: Method) -> str:
    """A digest of the files that a run depends on."""
    files = [
        HERE / "rows.py",
        HERE / "peers" / "protocol.py",
        HERE / "peers" / "statements.py",
        HERE / "peers" / "hard.py",
    ]
    files.append(HERE / Path(*method.module.split(".")).with_suffix(".py"))
    if method.module == "peers.ours":
        files += sorted((HERE.parent / "pinn_siren").rglob("*.py"))
    if method.kind == "classical":
        files.append(HERE / "classical" / "sequence.py")
    return hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()[:12]


def installed(package: str, python: str) -> bool:
    """Whether an interpreter has a distribution."""
    ask = f"import importlib.metadata as m; m.version({package!r})"
    return subprocess.run([python, "-c", ask], capture_output=True).returncode == 0


def interpreters(options: Options) -> dict[str, str]:
    """Package to interpreter, those that are there."""
    given = dict(pair.split("=", 1) for pair in options.python)
    found = {"": sys.executable}
    for package in sorted({m.package for m in chosen(options)} - {""}):
        python = given.get(package, sys.executable)
        if installed(package, python):
            found[package] = python
        else:
            print(
                f'{package} is not installed, so it is left out: pip install -e ".[bench]", or --python {package}=PATH'
            )
    return found


def main(options: Options) -> None:
    """Make every run that is not kept, and write the tables after each row."""
    RESULTS.mkdir(exist_ok=True)
    kept_in = RESULTS / "peers.json"
    kept = json.loads(kept_in.read_text()) if kept_in.exists() else {"machine": machine(), "runs": {}}
    if kept["machine"] != machine():
        kept = {"machine": machine(), "runs": {}}
    pythons = interpreters(options)
    turns = [t for t in schedule(options) if t.method.package in pythons]
    todo = [t for t in turns if t.key(options) not in kept["runs"]]
    print(
        f"{len(turns)} runs, {len(turns) - len(todo)} of them kept; at most {longest(todo) / 60:.0f} minutes",
        flush=True,
    )
    if not turns:
        return
    began = time.perf_counter()
    for done, turn in enumerate(todo):
        python = pythons[turn.method.package]
        run = spawn(turn.method, turn.row, turn.seed, turn.seconds, options.threads, python)
        kept["runs"][turn.key(options)] = dataclasses.asdict(run)
        fresh = kept_in.with_suffix(".tmp")
        fresh.write_text(json.dumps(kept))
        fresh.replace(kept_in)
        said = run.failure or f"{run.error:.1e} in {run.seconds:.2f} s"
        print(f"[{done + 1}/{len(todo)}, {(time.perf_counter() - began) / 60:.1f} min] {turn.row}, {turn.method.name}, "
              f"seed {turn.seed}: {said}", flush=True)  # fmt: skip
        if done + 1 == len(todo) or todo[done + 1].row != turn.row:
            write(options, turns, kept["runs"])
    write(options, turns, kept["runs"])
    print((RESULTS / "peers.md").read_text())


def write(options: Options, turns: list[Turn], kept: dict[str, dict]) -> None:  # type: ignore[type-arg]
    """The tables and the picture of what there is."""
    from peers.figure import draw

    runs: dict[str, dict[str, list[Run]]] = {}
    for turn in turns:
        if turn.key(options) in kept:
            found = kept[turn.key(options)]
            run = Run(**found | {"curve": [tuple(pair) for pair in found["curve"]]})
            runs.setdefault(turn.row, {}).setdefault(turn.method.name, []).append(run)
    made = {name: ROWS[name]() for name in runs}
    titles = {name: row.title for name, row in made.items()}
    kinds = {METHODS[name].kind for found in runs.values() for name in found}
    parts = []
    if "frozen" in kinds:
        parts.append("## Frozen features, the last layer by least squares\n")
        parts.append(against_peers(runs, titles, "frozen", {n: r.frozen for n, r in made.items()}) + "\n")
    if "trained" in kinds:
        parts.append("## All layers trained\n")
        parts.append(against_peers(runs, titles, "trained", {n: r.trained for n, r in made.items()}) + "\n")
    if "classical" in kinds:
        parts += [
            "## The best classical way\n",
            "One solve at the size that reaches the level, the size known beforehand; ours counts its search for size "
            "and bandwidth.\n",
            against_classical(runs, titles) + "\n",
        ]
    parts.append(footnote(options, runs))
    fresh = RESULTS / "peers.md.tmp"
    fresh.write_text("\n".join(parts))
    fresh.replace(RESULTS / "peers.md")
    draw(RESULTS / "peers.png", runs, titles)


def footnote(options: Options, runs: dict[str, dict[str, list[Run]]]) -> str:
    """How the tables were made, and with what."""
    versions = sorted({r.version for m in runs.values() for found in m.values() for r in found if r.version})
    return (
        f"Relative L2 errors at 4000 points that no solver saw; ours: median [range] of {options.seeds} seeds, peers: "
        f"of {options.peer_seeds}. At most {options.budget:g} seconds a run after imports, compilation included; "
        f"{options.threads} threads; {machine()}. {', '.join(versions)}. FastLSQ's search scores bandwidths by the "
        "error against the exact solution; all others never see it. The aim: 100 times more accurate at equal seconds "
        "or 10 times faster at equal accuracy, where both are below 1e-10 the time alone.\n"
    )


def machine() -> str:
    """Where a time was measured."""
    return f"{platform.machine()} CPU, {os.cpu_count()} cores"


if __name__ == "__main__":
    main(tyro.cli(Options, description=(__doc__ or "").format(minutes=longest(schedule(Options())) / 60)))
