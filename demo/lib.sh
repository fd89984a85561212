# What up.sh and down.sh share. Sourced, not run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

CLUSTER=${CLUSTER:-own}
NAME=lockbox-demo
state=${LOCKBOX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lockbox}/demo
export CARGO_TERM_QUIET=true

if [ -t 1 ]; then bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'; else bold='' dim='' plain=''; fi

say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
fail() { printf 'demo: %s\n' "$*" >&2; exit 1; }
need() { command -v "$1" >/dev/null || fail "$1 is missing: $2"; }

target() { cargo metadata --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p'; }

# Shows a command as its user would type it, then runs it. as WHO COMMAND…
as() {
  local who=$1; shift
  local shown='' word
  for word in "$@"; do
    case $word in
      *[!A-Za-z0-9_./:=,-]*) shown+=" '$word'" ;;
      *) shown+=" $word" ;;
    esac
  done
  printf '%s%s$%s%s\n' "$dim" "$who" "$plain" "$shown"
  "as_$who" "$@" 2>&1
}

# The same for a command that must be refused.
refused() {
  if as "$@"; then fail "this should have been refused"; fi
}

# Users of our own cluster have certificates; on another cluster its administrator acts for them.
user() { # user NAME USERNAME GROUP…
  local name=$1 username=$2; shift 2
  local group flags=()
  if [ "$CLUSTER" = own ]; then
    for group in "$@"; do flags+=(--group "$group"); done
    local file
    file=$("$tool" kubeconfig "$NAME" --user "$username" ${flags[@]+"${flags[@]}"})
    eval "as_$name() { KUBECONFIG='$file' \"\$@\"; }"
  else
    for group in "$@"; do flags+=("--as-group=$group"); done
    eval "as_$name() { local program=\$1; shift; \"\$program\" --as='$username' ${flags[*]+${flags[*]}} --as-group=system:authenticated \"\$@\"; }"
  fi
}
as_admin() { "$@"; }
