#!/usr/bin/env bash
# The paper's ablations of the codec: trains every recipe of recipes/ablations at the same budget, and measures each.
#
#   scripts/ablations.sh MANIFEST OUT [--set run.steps=8 ...]
#
# Leaves OUT/NAME (a run folder with its sounds and pictures), OUT/NAME.json (its figures) and OUT/table.txt. Further words
# go to every training. A run that was stopped is gone on with.
set -euo pipefail
manifest=$1
out=$2
shift 2
here=$(cd "$(dirname "$0")/.." && pwd)
program=(${ORCHESTRION:-cargo run --quiet --manifest-path "$here/Cargo.toml" --})

mkdir -p "$out"
: > "$out/table.txt.part"
for recipe in base hops-short hops-long no-spectral-loss no-restarts gradient-codebook; do
  "${program[@]}" train "$here/recipes/ablations/$recipe.toml" --data "$manifest" --out "$out/$recipe" "$@"
  "${program[@]}" eval reconstruction --data "$manifest" --model "$out/$recipe" --limit 20 --json > "$out/$recipe.json.part"
  mv "$out/$recipe.json.part" "$out/$recipe.json"
  { printf '\n== %s\n' "$recipe"
    "${program[@]}" eval reconstruction --data "$manifest" --model "$out/$recipe" --limit 20
  } >> "$out/table.txt.part"
done
mv "$out/table.txt.part" "$out/table.txt"
cat "$out/table.txt"
