#!/usr/bin/env bash
# Packs every project of src, with symbols, into a folder: eng/pack.sh [FOLDER [VERSION]]. Without a version it follows from the newest
# Git tag (v1.2.3; MinVer): the tag's own on its commit, a preview of the next patch after it. Needs the .NET SDK and git.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
feed=$(mkdir -p "${1:-$here/artifacts/packages}" && cd "${1:-$here/artifacts/packages}" && pwd)
version=${2:-}

# Built apart: neither the version nor what is built for packages gets into what run.sh and test.sh build.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for project in "$here"/src/*/*.csproj; do
  dotnet pack "$project" -c Release -v quiet --nologo -m:1 --artifacts-path "$work" -o "$feed" \
    -p:LocalLlmPack=true -p:ContinuousIntegrationBuild=true ${version:+-p:MinVerVersionOverride="$version"}
done
ls -sh "$feed"
