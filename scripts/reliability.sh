#!/usr/bin/env bash
# Tries every fault that docs/reliability.md lists, and writes its table.
#
#   scripts/reliability.sh              short: minutes, as in CI; the table goes to target/reliability.md
#   scripts/reliability.sh full         all counts: hours; the table goes to docs/reliability.md
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=never
mode=${1:-short}
case $mode in
  short) table=target/reliability.md; pick() { echo "$1"; } ;;
  full) table=docs/reliability.md; pick() { echo "$2"; } ;;
  *) echo "usage: $0 [short|full]" >&2; exit 2 ;;
esac
mkdir -p target
rows=target/reliability.rows
: > $rows
failed=0

# fault FAULT COUNT OUTCOME -- CARGO TEST ARGUMENTS: one row. What the test itself counted is told behind the outcome.
fault() {
  local name=$1 count=$2 outcome=$3 log=target/reliability.log counted
  shift 4
  echo "== $name ($SECONDS s)" >&2
  if cargo test "$@" > $log 2>&1 && grep -qE 'test result: ok\. [1-9]' $log; then
    counted=$(grep -ohE '[0-9]+ (inputs|kills|songs|steps)[,:] .*' $log | sed 's/, [0-9]* a second$//' | head -1 || true)
    echo "| $name | $count | $outcome${counted:+; $counted} |" >> $rows
  else
    echo "| $name | $count | **failed** |" >> $rows
    failed=1
    tail -40 $log >&2
  fi
}

export ORCHESTRION_KILLS ORCHESTRION_INTERRUPTS ORCHESTRION_FLIPS ORCHESTRION_SOAK ORCHESTRION_INPUTS
train=(-p orchestrion-train --test safety)
cli=(-p orchestrion)
shown=(-- --nocapture)

ORCHESTRION_KILLS=$(pick 20 200)
fault "training killed (SIGKILL) while it saves" "$ORCHESTRION_KILLS" "goes on from its last saved step; losses as never killed" -- \
  "${cli[@]}" --test training killed "${shown[@]}"
ORCHESTRION_KILLS=$(pick 10 50)
fault "sampling killed, three levels" "$ORCHESTRION_KILLS" "goes on to the same tokens" -- \
  "${cli[@]}" --test kill killed "${shown[@]}"
ORCHESTRION_INTERRUPTS=$(pick 3 40)
fault "training interrupted once, and twice, in turns" "$ORCHESTRION_INTERRUPTS" "exit 130 within 5 s; state whole" -- \
  "${cli[@]}" --test training interrupt
fault "sampling interrupted once, and twice" 3 "exit 130 within 5 s; session whole" -- "${cli[@]}" --test kill interrupt
fault "disk full while a state is written, at 10, 50, 90, 99 %" 4 "error names the file; the state before stays" -- \
  "${cli[@]}" --test training full_disk
fault "the rename of a state fails" 1 "error names the file; the state before stays" -- "${train[@]}" cannot_be_written
fault "foreign, occupied, missing, odd places for a run" 8 "refused before data is read, or taken as it is" -- \
  "${cli[@]}" --test training two_programs
fault "40 steps, 20 + 20, 10 x 4: codec, top prior, upsampler" 9 "the same bytes" -- "${train[@]}" resume
ORCHESTRION_FLIPS=$(pick 60 1000)
fault "one bit of a state flipped; cuts" "$ORCHESTRION_FLIPS" "damage is told; nothing is read in silence" -- "${train[@]}" no_flipped_bit
fault "newest state cut, flipped, missing, swapped, both damaged" 13 "the one before is taken, with a word" -- "${train[@]}" whatever_is_damaged
fault "states of other versions" 2 "read, or told which version" -- "${train[@]}" without_hashes
fault "memory of a run, as `train --plan` forecasts it" 1 "within 25 %; refused when it cannot fit, unless `--force`" -- \
  "${cli[@]}" --test training a_plan
fault "loss NaN, gradient infinite" 2 "step left out and counted" -- "${train[@]}" a_bad_step
fault "20 bad steps in a row" 1 "stops; the last good state goes on" -- "${train[@]}" twenty_bad
fault "codebooks collapse" 3 "told once; all stays finite" -- "${train[@]}" collapsed
fault "tracks shorter than a crop, silence, one track, nothing held out" 4 "told before the first step" -- "${train[@]}" data::
fault "false sizes, types and names in WAV files" 25 "sound, or an error that names the file" -- \
  -p orchestrion-audio --test hostile
fault "false headers of weights" 14 "error names the key" -- -p orchestrion-model --test safetensors
fault "tests of pickles that call, loop, swell" 10 "refused by the name they call" -- -p orchestrion-model --test checkpoints hostile
fault "tests of manifests with broken, endless, odd lines" 9 "counted up to 1 %, then refused by line" -- -p orchestrion-data manifest
fault "every verb: help, odd words, odd paths, a closed pipe" 55 "exit 0, 1 or 2; one error with a hint" -- "${cli[@]}" --test verbs
ORCHESTRION_INPUTS=$(pick 3000 1000000)
for door in wav aiff flac mp3 ogg m4a aac manifest recipe tokens session weights config index checkpoint labels cache lyrics; do
  fault "mutated input: $door" "$ORCHESTRION_INPUTS" "no panic, no hang" -- "${cli[@]}" --test doors -- --exact $door --nocapture
done
ORCHESTRION_SOAK=$(pick 600 10000)
fault "soak: training steps" "$ORCHESTRION_SOAK" "memory and open files constant" -- "${train[@]}" soak -- --ignored --nocapture
ORCHESTRION_SOAK=$(pick 300 10000)
fault "soak: songs in one process" "$ORCHESTRION_SOAK" "memory and open files constant" -- "${cli[@]}" --test soak "${shown[@]}"

{
  sed -e '/^| fault /,$d' -e '/^The rows below were/,/^$/d' docs/reliability.md
  echo "| fault | tried | outcome |"
  echo "|---|---|---|"
  cat $rows
} > $table.new
mv $table.new $table
echo "$table" >&2
exit $failed
