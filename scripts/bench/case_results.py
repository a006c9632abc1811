"""Cases of a long measurement in a file of lines, so that it may be broken off and grow over days."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def config_of(options: object, sources: Sequence[str]) -> str:
    """Short hash over options and the code measured, given as paths from the project's root."""
    files = sorted(file for source in sources for file in (ROOT / source).glob("**/*.py"))
    files += [ROOT / source for source in sources if source.endswith(".py")]
    digest = hashlib.sha256(repr(options).encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def run_cases(
    name: str, seeds: Sequence[int], *, config: str, results: Path, run: Callable[[int], dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Figures of each seed: those of the file where they are of this configuration, else of a new run."""
    results.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    done = {line["seed"]: line["figures"] for line in lines if line["config"] == config}
    for seed in seeds:
        if seed not in done:
            done[seed] = run(seed)
            case = {
                "case": name,
                "seed": seed,
                "config": config,
                "commit": current_commit(),
                "figures": done[seed],
            }
            with results.open("a") as stream:
                stream.write(json.dumps(case, sort_keys=True) + "\n")
        yield done[seed]


def current_commit() -> str:
    """Short hash of the code that is measured; empty outside a checkout."""
    return subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
