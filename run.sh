#!/usr/bin/env bash
# Sets up the machine and runs localllm. Without arguments: the shipped tiny model answers, streaming to the terminal.
# ./run.sh rag ARGS runs the sample that answers questions from documents.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bash "$here/eng/setup.sh"

# build PROJECT PROGRAM FOLDER...: when it is missing or older than any source in the folders; the build's own output stays out of the program's.
build() {
  local project=$1 program=$2
  shift 2
  if [ ! -f "$program" ] || [ -n "$(find "$@" "$here"/Directory.*.props -newer "$program" \( -name '*.cs' -o -name '*.csproj' -o -name '*.props' -o -name '*.cu' -o -name '*.html' -o -name '*.js' -o -name '*.css' -o -name 'appsettings*.json' \) -not -path '*/obj/*' -not -path '*/bin/*' -print -quit)" ]; then
    printf 'building %s ...\n' "$(basename "$project")" >&2
    dotnet build "$project" -c Release -v quiet --nologo >&2
    touch "$program"
  fi
}

if [ "${1:-}" = rag ]; then
  shift
  program="$here/samples/Rag/bin/Release/net10.0/LocalLlm.Samples.Rag.dll"
  build "$here/samples/Rag" "$program" "$here/src" "$here/samples/Rag"
  exec dotnet "$program" "$@"
fi

program="$here/src/Tool/bin/Release/net10.0/localllm.dll"
build "$here/src/Tool" "$program" "$here/src"

if [ "$#" -eq 0 ]; then
  set -- generate --model "$here/models/tiny-r1" --message "Write a short story about Oscar the young wolf."
fi
exec dotnet "$program" "$@"
