#!/usr/bin/env bash
# Ends what up.sh started: make demo-down
. "$(dirname "$0")/lib.sh"

for program in lockbox-operator mailpit; do
  file=$state/${program#lockbox-}.pid
  [ -f "$file" ] || continue
  pid=$(cat "$file")
  # Only if it still is that program.
  if grep -qs "$program" "/proc/$pid/cmdline" || ps -p "$pid" -o command= 2>/dev/null | grep -q "$program"; then
    kill "$pid"
  fi
done
if [ "$CLUSTER" = own ]; then
  cargo build --locked -p lockbox-cluster
  "$(target)/debug/lockbox-cluster" down "$NAME"
else
  # Requests go with their namespaces while the operator's rights still stand; the kinds stay, as Helm leaves them.
  kubectl delete namespace contoso-prod --ignore-not-found
  kubectl delete lockboxsettings default --ignore-not-found
  helm uninstall lockbox -n lockbox-system --ignore-not-found
  kubectl delete namespace lockbox-system lockbox-tenant --ignore-not-found
  echo "The kinds are still installed; to remove them too: kubectl delete -f crds/"
fi
rm -rf "$state"
