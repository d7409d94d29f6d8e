#!/usr/bin/env bash
# Packs every project of src and tries the packages as a new user would. Builds samples/Minimal outside the repository, sends it requests
# with and without its key, and installs the program as a .NET tool. Needs the .NET SDK and curl; takes some minutes.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$here/eng/setup.sh"

# A unique version, so that no package of an earlier run is used instead.
version=0.1.0-check.$(date +%s)
work=$(mktemp -d)
packages=$(dotnet nuget locals global-packages --list | sed 's/^[^/]*//; s|/$||')
program=""
cleanup() {
  [ -z "$program" ] || kill "$program" 2>/dev/null || true
  rm -rf "$work" "$packages"/localllm.*/"$version"
  rmdir --ignore-fail-on-non-empty "$packages"/localllm.* 2>/dev/null || true
}
trap cleanup EXIT

say() { printf '== %s\n' "$*"; }
die() { printf 'check-packages: error: %s\n' "$*" >&2; exit 1; }

say "packing"
bash "$here/eng/pack.sh" "$work/feed" "$version"
ls -sh "$work/feed"

say "building samples/Minimal outside of the repository"
cp -r "$here/samples/Minimal" "$work/program"
rm -rf "$work/program/bin" "$work/program/obj"
cat > "$work/program/nuget.config" <<CONFIG
<configuration><packageSources><add key="check-packages" value="$work/feed" /></packageSources></configuration>
CONFIG
dotnet build "$work/program" -c Release -v quiet --nologo -p:LocalLlmVersion="$version"

say "serving"
(cd "$work/program" && LocalLlm__ModelPath="$here/models/tiny-r1" House__Key=sesame exec dotnet bin/Release/net10.0/Minimal.dll --urls http://127.0.0.1:0) > "$work/log" 2>&1 &
program=$!
address=""
for _ in $(seq 120); do
  address=$(sed -n 's/.*Now listening on: //p' "$work/log" | head -n 1)
  [ -z "$address" ] || break
  kill -0 "$program" 2>/dev/null || { cat "$work/log" >&2; die "the program has ended"; }
  sleep 0.5
done
[ -n "$address" ] || { cat "$work/log" >&2; die "the program does not listen"; }

# ask STATUS BODY [CURL'S OPTIONS...]: checks that the response has the status; retries after a 503 while the model loads.
ask() {
  local wanted=$1 body=$2 status
  shift 2
  status=$(curl -s -o "$work/response" -w '%{http_code}' --retry 120 --retry-delay 1 -H 'Content-Type: application/json' "$@" -d "$body" "$address/v1/chat/completions")
  [ "$status" = "$wanted" ] || { cat "$work/response" "$work/log" >&2; die "status $status instead of $wanted"; }
}
question='{"messages": [{"role": "user", "content": "What is 58 + 27?"}], "temperature": 0}'
ask 401 "$question"
ask 401 "$question" -H 'Authorization: Bearer wrong'
ask 200 "$question" -H 'Authorization: Bearer sesame'
grep -q '58 + 27 = 85' "$work/response" || { cat "$work/response" >&2; die "the model did not answer"; }
ask 200 "${question%\}}, \"stream\": true}" -H 'Authorization: Bearer sesame'
grep -q 'data: \[DONE\]' "$work/response" || { cat "$work/response" >&2; die "the stream does not end with [DONE]"; }
say "401 without the key, 200 with it, a stream to its end"

say "packages: description, license, README, documentation"
mkdir "$work/all"
{
  printf '<Project Sdk="Microsoft.NET.Sdk"><PropertyGroup><TargetFramework>net10.0</TargetFramework></PropertyGroup><ItemGroup>'
  for package in "$work"/feed/*.nupkg; do
    id=$(basename "$package" ".$version.nupkg")
    [ "$id" = LocalLlm.Tool ] || printf '<PackageReference Include="%s" Version="%s" />' "$id" "$version"
  done
  printf '</ItemGroup></Project>'
} > "$work/all/all.csproj"
cp "$work/program/nuget.config" "$work/all/"
dotnet restore "$work/all" -v quiet --nologo
for package in "$work"/feed/*.nupkg; do
  id=$(basename "$package" ".$version.nupkg")
  [ "$id" != LocalLlm.Tool ] || continue
  folder=$packages/$(printf '%s' "$id" | tr '[:upper:]' '[:lower:]')/$version
  [ -s "$folder/README.md" ] || die "$id has no README.md"
  [ -s "$folder/lib/net10.0/$id.xml" ] || die "$id has no XML documentation"
  grep -q '<license type="expression">MIT' "$folder"/*.nuspec || die "$id names no license"
  grep -q '<description>..*</description>' "$folder"/*.nuspec || die "$id has no description"
  ! grep -q '<description>Package Description' "$folder"/*.nuspec || die "$id has the SDK's description"
  [ -s "$folder/icon.png" ] || die "$id has no icon"
  [ -s "$work/feed/$id.$version.snupkg" ] || die "$id has no symbols"
  # These packages are TorchSharp's dependencies.
  ! grep -qE '<dependency id="(SkiaSharp|SharpZipLib|Google.Protobuf)"' "$folder"/*.nuspec || [ "$id" = LocalLlm.Cluster ] || die "$id references what it does not use"
done

say "the program as a .NET tool"
dotnet tool install LocalLlm.Tool --tool-path "$work/tool" --add-source "$work/feed" --version "$version" > /dev/null
"$work/tool/localllm" --version
"$work/tool/localllm" doctor > /dev/null || die "localllm doctor fails"
"$work/tool/localllm" plan "$here/models/tiny-r1" --device cpu > /dev/null || die "localllm plan fails"
[ "$("$work/tool/localllm" generate "$here/models/tiny-r1" --prompt 'Once upon' --max-tokens 3 --temperature 0 --dtype float32 2>/dev/null)" = " a time there" ] || die "localllm generate fails"
say "all packages work"
