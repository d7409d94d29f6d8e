#!/usr/bin/env bash
# Runs the engine's whole test suite several times: with drafts in every engine, and with each of the other executors. These send everything
# between engine and executor as bytes (serializing), keep four steps in flight with 0 to 3 tokens (delayed), submit steps before their
# tokens are known (ahead), or use a child process (process). Takes about a quarter of an hour.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$here/eng/setup.sh"
dotnet build "$here/tests/Engine.Tests" -c Release -v quiet --nologo
printf '== speculation\n'
LOCALLLM_TEST_SPECULATION=ngram dotnet "$here/tests/Engine.Tests/bin/Release/net10.0/LocalLlm.Engine.Tests.dll" --ansi off --progress off
for executor in serializing delayed ahead process; do
  printf '== %s\n' "$executor"
  LOCALLLM_TEST_EXECUTOR=$executor dotnet "$here/tests/Engine.Tests/bin/Release/net10.0/LocalLlm.Engine.Tests.dll" --ansi off --progress off
done
