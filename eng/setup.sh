#!/usr/bin/env bash
# Prepares a bare machine that has only the .NET SDK. Safe to run again: what is already installed is left alone.
set -euo pipefail

# TorchSharp's native library is built with GCC 13 and needs this symbol version of libstdc++.
readonly WANTED_SYMBOL=GLIBCXX_3.4.32

log() { printf 'setup: %s\n' "$*" >&2; }
die() { printf 'setup: error: %s\n' "$*" >&2; exit 1; }

libstdcxx_path() {
  local path
  path=$(ldconfig -p 2>/dev/null | awk '/libstdc\+\+\.so\.6 .*x86-64/ { print $NF; exit }')
  [ -n "$path" ] || path=$(ls /usr/lib/x86_64-linux-gnu/libstdc++.so.6 /usr/lib64/libstdc++.so.6 2>/dev/null | head -n 1)
  printf '%s' "$path"
}

has_wanted_symbol() {
  local path
  path=$(libstdcxx_path)
  [ -n "$path" ] && grep -qaF "$WANTED_SYMBOL" "$path"
}

# Debian 12 ships the libstdc++ of GCC 12; that of trixie is a drop-in successor. The pin keeps all other packages at their versions.
install_libstdcxx_from_trixie() {
  local sudo=""
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "libstdc++ lacks $WANTED_SYMBOL and installing a newer one needs root. Run eng/setup.sh as root once."
    sudo=sudo
  fi
  log "libstdc++ lacks $WANTED_SYMBOL: installing libstdc++6 from Debian trixie"
  printf 'deb http://deb.debian.org/debian trixie main\n' | $sudo tee /etc/apt/sources.list.d/localllm-trixie.list >/dev/null
  printf 'Package: *\nPin: release n=trixie\nPin-Priority: 100\n' | $sudo tee /etc/apt/preferences.d/localllm-trixie >/dev/null
  $sudo apt-get update -qq -o Dir::Etc::sourcelist=sources.list.d/localllm-trixie.list -o Dir::Etc::sourceparts=- -o APT::Get::List-Cleanup=0 >&2
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq -t trixie libstdc++6 >&2
}

command -v dotnet >/dev/null || die "the .NET SDK is not on PATH. Install .NET 10 (https://dot.net) and run again."

if ! has_wanted_symbol; then
  # shellcheck disable=SC1091
  . /etc/os-release 2>/dev/null || true
  case "${ID:-}:${VERSION_ID:-}" in
    debian:12) install_libstdcxx_from_trixie ;;
    *) die "libstdc++ lacks $WANTED_SYMBOL (GCC 13 or newer is needed: Ubuntu 24.04, Debian 13, Fedora 38). Found ${PRETTY_NAME:-an unknown system}." ;;
  esac
  has_wanted_symbol || die "libstdc++ still lacks $WANTED_SYMBOL after the installation."
fi

# Needed for ranks as processes on CPUs, and for their tests; whatever needs it reports if it is missing.
if ! command -v mpirun >/dev/null; then
  if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    log "installing Open MPI"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends openmpi-bin; } >&2 || log "Open MPI could not be installed; tests that need it are skipped"
  else
    log "Open MPI is not there (apt-get install openmpi-bin); tests that need it are skipped"
  fi
fi
