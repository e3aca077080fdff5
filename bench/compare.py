"""This program beside PyTorch, in turn, in one run.

    python bench/compare.py --program target/debug/orchestrion [--json FILE] [ROW ...]

Each row is measured several times over, ours (`orchestrion bench ROW --json`) and PyTorch's in turn, each in a process of
its own, so that never more than one model is in memory; the table has the medians. Rows are defined in `crates/bench/src`; the
same work is written in `torch_*.py` as a PyTorch user would write it. `ratio` above 1: ours is faster. `share`: of the machine's
measured rate of products (`of`: `gemm_gflop_s`) or of reading (`read_gb_s`).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

ROWS = (
    "train.vqvae.l0.f32",
    "train.prior.512x12.f32",
    "train.prior.512x12.bf16",
    "train.upsampler.tiny",
    "decode.512x12.f32.b1",
    "decode.512x12.bf16.b1",
    "decode.512x12.int8.b1",
    "decode.1b.f32.b1",
    "decode.1b.bf16.b1",
    "decode.1b.int8.b1",
    "decode.1b.bf16.b16",
    "decode.tiny.b1",
    "prefill.512x12",
    "codec.l0.encode",
    "codec.l0.decode",
    "sample.tiny.20s",
)
# Of these there is no PyTorch half.
ALONE = {"sample.tiny.20s"}


def pytorch_half(name, threads):
    """Measures a row of PyTorch's in this process, and prints its seconds."""
    import torch

    import torch_codec
    import torch_decoding
    import torch_prior

    torch.set_num_threads(threads)
    torch.manual_seed(1)
    print((torch_codec.ROWS | torch_decoding.ROWS | torch_prior.ROWS)[name]())


def output_of(command, threads):
    environment = os.environ | {"RAYON_NUM_THREADS": str(threads)}
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout)


def compare(name, arguments):
    """The row as JSON, and what each of its reports says of the machine."""
    machines, mine, shares, theirs = [], [], [], []
    for _ in range(arguments.rounds):
        report = output_of([arguments.program, "bench", name, "--json"], arguments.threads)
        machines.append(report["machine"])
        (row,) = report["rows"]
        mine.append(row["value"])
        shares.append(row["share"])
        if name not in ALONE:
            half = [sys.executable, __file__, "--pytorch", name, "--threads", str(arguments.threads)]
            theirs.append(output_of(half, arguments.threads))
    value = statistics.median(mine)
    pytorch = statistics.median(theirs) if theirs else None
    row |= {
        "value": value,
        "share": statistics.median(shares) if row["of"] else None,
        "pytorch": pytorch,
        "ratio": pytorch / value if pytorch else None,
    }
    return row, machines


def say(row):
    beside = f"PyTorch {row['pytorch']:.5f}  ratio {row['ratio']:.2f}" if row["pytorch"] else ""
    share = f"  {100 * row['share']:.0f} % of {row['of']}" if row["of"] else ""
    print(f"{row['name']:<24} ours {row['value']:.5f} {row['unit']}  {beside}{share}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="rows to measure; all by default")
    parser.add_argument("--program", help="the built program")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5, help="times that each row is measured")
    parser.add_argument("--json", metavar="FILE", help="also write the table as JSON")
    parser.add_argument("--pytorch", metavar="ROW", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.pytorch:
        return pytorch_half(arguments.pytorch, arguments.threads)
    if not arguments.program:
        parser.error("--program is missing; hint: `cargo build`, then `--program target/debug/orchestrion`")
    rows, machines = [], []
    for name in arguments.rows or ROWS:
        if name not in ROWS:
            parser.error(f"no row `{name}`; hint: rows are {', '.join(ROWS)}")
        row, seen = compare(name, arguments)
        rows.append(row)
        machines += seen
        say(row)
    best = {key: max(m[key] for m in machines) for key in machines[0]}
    print(f"{best['threads']} threads read {best['read_gb_s']:.1f} GB/s and multiply at {best['gemm_gflop_s']:.0f} GFLOP/s")
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump({"machine": best, "rows": rows}, file, indent=1)


if __name__ == "__main__":
    main()
