#!/usr/bin/env bash
# Sets up the machine and runs localllm. Without arguments: the shipped tiny model answers, streaming to the terminal.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bash "$here/eng/setup.sh"

program="$here/src/HostedServer/bin/Release/net10.0/localllm.dll"
# Built when it is missing or older than any source; the build's own output stays out of the program's.
if [ ! -f "$program" ] || [ -n "$(find "$here/src" "$here"/Directory.*.props -newer "$program" \( -name '*.cs' -o -name '*.csproj' -o -name '*.props' -o -name '*.cu' \) -not -path '*/obj/*' -print -quit)" ]; then
  printf 'building localllm ...\n' >&2
  dotnet build "$here/src/HostedServer" -c Release -v quiet --nologo >&2
  touch "$program"
fi

if [ "$#" -eq 0 ]; then
  set -- generate --model "$here/models/tiny-r1" --message "Write a short story about Oscar the young wolf."
fi
exec dotnet "$program" "$@"
