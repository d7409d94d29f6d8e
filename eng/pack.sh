#!/usr/bin/env bash
# Packs every project of src, with symbols, into a folder: eng/pack.sh [FOLDER [VERSION]]. Without VERSION, MinVer takes the version from
# the newest Git tag (v1.2.3): on the tagged commit the tag's own version, after it a preview of the next patch. Needs the .NET SDK and git.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
feed=$(mkdir -p "${1:-$here/artifacts/packages}" && cd "${1:-$here/artifacts/packages}" && pwd)
version=${2:-}

# Built in a folder of its own, so that neither the version nor files built for packages get into the builds of run.sh and test.sh.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for project in "$here"/src/*/*.csproj; do
  dotnet pack "$project" -c Release -v quiet --nologo -m:1 --artifacts-path "$work" -o "$feed" \
    -p:LocalLlmPack=true -p:ContinuousIntegrationBuild=true ${version:+-p:MinVerVersionOverride="$version"}
done
ls -sh "$feed"
