#!/usr/bin/env python3
"""Real size: checkpoints of the published shapes with random weights, imported and run, beside PyTorch on the same weights.

    pip install -r fixtures/jukebox/requirements.txt
    cargo build
    python bench/real_size.py --program target/debug/orchestrion --work DIR

See README.md beside it. Each step is a process of its own, whose time and largest memory are measured.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import checks
import published

STEPS = ("make", "reference")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--program", type=Path, help="the `orchestrion` to run; without it the other half is made alone"
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints and models: about 25 GB")
    parser.add_argument("--parts", default=",".join(published.PARTS), help="some of them, separated by commas")
    parser.add_argument("--tokens", type=int, default=16, help="tokens to draw, a multiple of 4")
    parser.add_argument("--dtype", choices=("f32", "bf16", "int8"), default="f32", help="how the model is stored")
    parser.add_argument("--small", action="store_true", help="small sizes, to try the script itself")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON too")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if unknown := set(given.parts.split(",")) - set(published.PARTS):
        parser.error(f"no part `{unknown.pop()}`; hint: parts are {', '.join(published.PARTS)}")
    if given.tokens < 4 or given.tokens % 4:
        parser.error("--tokens must be a multiple of 4: an upper token stands for four")
    return given


def measured(name, command):
    """Runs a command; its standard output, and a row of the table."""
    begun = time.monotonic()
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    row = {"step": name, "seconds": time.monotonic() - begun, "peak_bytes": usage.ru_maxrss * 1024}
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{name} failed: {' '.join(map(str, command))}")
    print(f"{name}: {row['seconds']:.1f} s, {row['peak_bytes'] / 1e9:.2f} GB", file=sys.stderr)
    return output, row


def run_part(part, given):
    """All steps of a part: rows of the table."""
    folder = given.work / ("small" if given.small else "full")
    folder.mkdir(parents=True, exist_ok=True)
    rows = []

    def step(name, command):
        output, row = measured(f"{part}: {name}", command)
        rows.append(row)
        return output

    for name in STEPS:
        words = ["--work", given.work, "--parts", part, "--tokens", given.tokens, "--step", name]
        step(name, [sys.executable, __file__, *words, *(["--small"] if given.small else [])])
    rows[0]["file_bytes"] = (folder / published.file_of(part)).stat().st_size
    if given.program:
        found = checks.CHECKS[part](given, folder, step)
        rows.append({"step": f"{part}: compared", **found})
    return rows


def table(rows):
    print("| step | seconds | largest memory, GB | |\n|---|---|---|---|")
    for row in rows:
        figures = f"{row['seconds']:.1f} | {row['peak_bytes'] / 1e9:.2f}" if "seconds" in row else " | "
        rest = {k: v for k, v in row.items() if k not in ("step", "seconds", "peak_bytes")}
        print(f"| {row['step']} | {figures} | {', '.join(f'{k} {v}' for k, v in rest.items())} |")


def main():
    given = arguments()
    if given.step:
        import torch_side

        folder = given.work / ("small" if given.small else "full")
        getattr(torch_side, given.step)(given.parts, folder, given.tokens, given.small)
        return 0
    rows = [row for part in given.parts.split(",") for row in run_part(part, given)]
    table(rows)
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0 if all(row.get("equal", True) for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
