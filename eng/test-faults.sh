#!/usr/bin/env bash
# Injects faults at random moments under the load of eight clients, over nodes, processes and mpirun: kills, hangs and link cuts; 50, or as
# many as the argument says. Prints a table. Fails if a caller got no error, a server did not end in time, or a process was left over. Run
# as root: it needs network namespaces.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
dotnet build "$here/tests/Cluster.Tests" -c Release -v quiet --nologo
table=$(mktemp)
trap 'rm -f "$table"' EXIT
tail -f "$table" &
follow=$!
status=0
LOCALLLM_FAULTS=${1:-50} LOCALLLM_FAULTS_TABLE=$table dotnet "$here/tests/Cluster.Tests/bin/Release/net10.0/LocalLlm.Cluster.Tests.dll" \
  --filter-class '*FaultCampaign' --ansi off --progress off || status=$?
kill "$follow"
exit "$status"
