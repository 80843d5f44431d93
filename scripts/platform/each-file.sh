#!/usr/bin/env bash
# each-file.sh TEST…: runs each test file in a Bun of its own, two at a time, and adds up what they say. Under qemu's user
# mode Bun itself dies now and then over a whole folder (SIGSEGV, SIGABRT): such a file is run again, twice at most.
set -uo pipefail
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
export logs

run_file() {
  local file=$1 log code try begun=$SECONDS
  log=$logs/$(tr '/ ' '__' <<<"$file")
  for try in 1 2 3; do
    bun test --timeout=120000 "./$file" >"$log" 2>&1
    code=$?
    [ $code -eq 134 ] || [ $code -eq 139 ] || [ $code -eq 132 ] || break
    echo "$file: Bun died with exit code $code (try $try)"
  done
  echo $code >"$log.code"
  if [ $code -eq 0 ]; then grep -E '^\(skip\)' "$log"; else cat "$log"; fi
  echo "$file: $((SECONDS - begun)) s, $(grep -E '^ *[0-9]+ (pass|skip|fail)$' "$log" | xargs), exit code $code"
}
export -f run_file

# Only what there is: rooms come and go.
for path in "$@"; do [ -e "$path" ] && find "$path" -name '*.test.ts'; done | sort -u >"$logs/files"
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
