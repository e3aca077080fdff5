#!/usr/bin/env python3
"""What each level of a codec keeps of held-out music, class by class: `orchestrion eval reconstruction` on a part of the
manifest for each artist or genre. A mean over everything hides that one instrument's notes are lost.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

COLUMNS = {
    "chroma": ("chroma agrees", "{:.3f}"),
    "onset": ("onset correlation", "{:.3f}"),
    "log_mel": ("log-mel", "{:.3f}"),
    "loudness": ("loudness LU", "{:+.2f}"),
    "si_sdr": ("SI-SDR dB", "{:+.2f}"),
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="manifest of the recordings")
    parser.add_argument("--model", type=Path, required=True, help="model folder; a training run is one")
    parser.add_argument("--by", choices=("artist", "genre"), default="artist", help="what a class is")
    parser.add_argument("--splits", nargs="+", default=["test"], choices=("train", "valid", "test"), help="parts of the manifest")
    parser.add_argument("--tracks", type=int, default=8, help="most tracks of a class")
    parser.add_argument("--seconds", type=float, default=10.0, help="seconds of a track, from its middle")
    parser.add_argument("--program", nargs="+", default=["cargo", "run", "-q", "--"], help="how `orchestrion` is run")
    parser.add_argument("--json", action="store_true", help="as JSON")
    return parser.parse_args()


def classes(given):
    """`{class: lines of the manifest}`, files by their full path, at most so many, evenly chosen."""
    found = {}
    for line in given.data.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row.get("split", "train") in given.splits:
            row |= dict(path=str((given.data.parent / row["path"]).resolve()), split="test")
            found.setdefault(str(row.get(given.by, "unknown")), []).append(row)
    return {name: rows[:: -(-len(rows) // given.tracks)] for name, rows in sorted(found.items())}


def measured(rows, given):
    """Rows of the program's report on these tracks, a dict for each level and baseline."""
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder, "manifest.jsonl")
        manifest.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
        command = [*given.program, "eval", "reconstruction", "--data", manifest, "--model", given.model, "--seconds", given.seconds, "--json"]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr.strip() or f"error: `{command[0]}` failed; hint: check `--program`")
    return json.loads(done.stdout)["rows"]


def table(report, counts):
    """A Markdown table for each level and baseline."""
    out = []
    for level in [row["name"] for row in next(iter(report.values()))]:
        out += [f"\n{level}\n", "| class | tracks | " + " | ".join(name for name, _ in COLUMNS.values()) + " |", "|---" * (len(COLUMNS) + 2) + "|"]
        for name, rows in report.items():
            row = next(r for r in rows if r["name"] == level)
            out.append(f"| {name} | {counts[name]} | " + " | ".join(form.format(row[key]) for key, (_, form) in COLUMNS.items()) + " |")
    return "\n".join(out)


def main():
    given = arguments()
    chosen = classes(given)
    if not chosen:
        sys.exit(f"error: no track of {', '.join(given.splits)} in `{given.data}`; hint: choose others with `--splits`")
    report = {name: measured(rows, given) for name, rows in chosen.items()}
    print(json.dumps(report, indent=1) if given.json else table(report, {n: len(r) for n, r in chosen.items()}))


if __name__ == "__main__":
    main()
