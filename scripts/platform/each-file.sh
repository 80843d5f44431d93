#!/usr/bin/env bash
# each-file.sh TEST…: runs each test file in a Bun of its own, two at a time, and adds up what they say. TEST is a file or a folder, or a
# file, a tab, and the pattern of the tests' names. Under qemu's user mode Bun itself dies now and then (SIGSEGV, SIGABRT): such a file is
# run again, twice at most. Files that have not begun after BUDGET seconds are skipped, visibly.
set -uo pipefail
BUDGET=${SHMSTRUCT_BUDGET:-420}
FILE_LIMIT=${SHMSTRUCT_FILE_LIMIT:-300}
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
begun=$(date +%s)
export logs begun BUDGET FILE_LIMIT

run_file() {
  local file=${1%%$'\t'*} pattern='' log code try started
  [ "$file" = "$1" ] || pattern=${1#*$'\t'}
  file=${file#./}
  log=$logs/$(tr '/ ' '__' <<<"$file")
  if [ $(($(date +%s) - begun)) -gt "$BUDGET" ]; then
    echo "(skip) $file: $BUDGET seconds were over before it began"
    echo ' 1 skip' >"$log"
    echo 0 >"$log.code"
    return
  fi
  started=$SECONDS
  for try in 1 2 3; do
    timeout --signal=KILL "$FILE_LIMIT" bun test --timeout=240000 ${pattern:+-t "$pattern"} "./$file" >"$log" 2>&1
    code=$?
    [ $code -eq 134 ] || [ $code -eq 139 ] || [ $code -eq 132 ] || break
    echo "$file: Bun died with exit code $code (try $try)"
  done
  echo $code >"$log.code"
  if [ $code -eq 0 ]; then grep -E '^\(skip\)' "$log"; else cat "$log"; fi
  echo "$file: $((SECONDS - started)) s, $(grep -E '^ *[0-9]+ (pass|skip|fail)$' "$log" | xargs), exit code $code"
}
export -f run_file

# Only what there is: rooms come and go. The order is kept.
for test in "$@"; do
  path=${test%%$'\t'*}
  if [ -d "$path" ]; then find "$path" -name '*.test.ts' | sort; elif [ -e "$path" ]; then echo "$test"; fi
done >"$logs/files"
[ -s "$logs/files" ] || { echo "no test file in: $*"; exit 1; }
xargs -a "$logs/files" -d '\n' -P 2 -I{} bash -c 'run_file "$1"' bash {}

# count WORD: the sum of the numbers before that word in the summaries.
count() {
  local sum=0 number
  for number in $(cat "$logs"/*.test.ts 2>/dev/null | sed -nE "s/^ *([0-9]+) $1\$/\1/p"); do sum=$((sum + number)); done
  echo $sum
}
died=$(cat "$logs"/*.code | grep -cvx 0)
failed=$(count fail)
[ "$died" -gt "$failed" ] && failed=$died
echo
echo "$(wc -l <"$logs/files") files"
echo "$(count pass) passed, $failed failed, $(count skip) skipped"
[ "$failed" -eq 0 ]
