#!/usr/bin/env bash
# Sets up the machine and runs all tests. Arguments go to the test runner (for example: ./test.sh --filter-class '*Tokenizer*').
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
bash eng/setup.sh

# Release: the CPU kernels are many times slower without the optimising JIT.
dotnet build Connector.sln -c Release -v quiet --nologo

passed=0 failed=0 skipped=0 status=0
log=$(mktemp) failures=$(mktemp)
# Colours are off everywhere, also where CI=true would turn them on: the counts below are read from the summary's lines.
trap 'rm -f "$log" "$failures"' EXIT
for project in tests/*.Tests/*.csproj; do
  name=$(basename "$project" .csproj)
  printf '\n== %s\n' "$name"
  dotnet "$(dirname "$project")/bin/Release/net10.0/$name.dll" --ansi off --progress off "$@" 2>&1 | tee "$log" || { status=1 && printf '\n%s\n' "$name" >> "$failures"; }
  # A failed test's line, and what is indented below it.
  awk '/^failed /{ on = 1; print; next } /^[^ ]/{ on = 0 } on && NF' "$log" >> "$failures"
  count() { awk -v key="$1:" '$1 == key { n = $2 } END { print n + 0 }' "$log"; }
  passed=$((passed + $(count succeeded)))
  failed=$((failed + $(count failed)))
  skipped=$((skipped + $(count skipped)))
done

printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
# Last, so that a log that is cut to its end still says what failed.
cut -c 1-2000 "$failures" | tail -n 400
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ] && exit "$status"
exit 1
