#!/usr/bin/env bash
# The main job of Lockbox on a real Kubernetes API server: make demo
. "$(dirname "$0")/lib.sh"

need cargo "install Rust from rustup.rs"
say "Building the operator and the cluster tool (Rust; a few minutes the first time)"
cargo build --locked -p lockbox -p lockbox-cluster
bin=$(target)/debug
tool=$bin/lockbox-cluster

if [ -d "$state" ]; then
  fail "a demo is up already, or stopped half-way; end it with: make demo-down CLUSTER=$CLUSTER"
fi
mkdir -p "$state"
trap 'echo "The demo stopped here. Look at $state/operator.log, and end it with: make demo-down CLUSTER=$CLUSTER" >&2' ERR
if [ "$CLUSTER" = own ]; then
  "$tool" up "$NAME"
  eval "$("$tool" env "$NAME")"
else
  need kubectl "install it, or run make demo without CLUSTER=current"
  need helm "install it, or run make demo without CLUSTER=current"
  echo "Using the cluster of your kubeconfig: $(kubectl config current-context)"
fi

say "1. Install Lockbox with Helm. The first Global Administrator is Ada."
as admin helm install lockbox charts/lockbox -n lockbox-system --create-namespace --hide-notes \
  --set operator.onlyFromItsPod=false \
  --set 'bootstrap.globalAdministrators[0].kind=User,bootstrap.globalAdministrators[0].name=ada@contoso.example'

# Here the operator runs as a process with the token of the chart's ServiceAccount: it has exactly the rights that the
# chart gives it. In a cluster with nodes it runs in the chart's Deployment.
if [ "$CLUSTER" = own ]; then
  account=$("$tool" kubeconfig "$NAME" --service-account lockbox-system/lockbox-operator)
else
  account=$state/operator.kubeconfig
  kubectl config view --raw --minify --flatten > "$account"
  chmod 600 "$account"
  KUBECONFIG=$account kubectl config set-credentials lockbox-operator \
    --token="$(kubectl create token lockbox-operator -n lockbox-system --duration=8h)" >/dev/null
  KUBECONFIG=$account kubectl config set-context --current --user=lockbox-operator >/dev/null
fi
flags=()
if [ "$CLUSTER" = own ]; then
  # A mail server that keeps what arrives; in your own cluster the chart's notifications.smtp names yours.
  need curl "the demo reads a mailbox with it"
  mailpit=$("$tool" mailpit)
  smtp=$((20000 + RANDOM % 10000)) mailbox=http://127.0.0.1:$((smtp + 1))
  nohup "$mailpit" --smtp "127.0.0.1:$smtp" --listen "${mailbox#http://}" --database "$state/mailpit.db" \
    --disable-version-check --smtp-disable-rdns >"$state/mailpit.log" 2>&1 </dev/null &
  echo $! >"$state/mailpit.pid"
  mkdir "$state/notifications"
  printf 'smtp: {host: 127.0.0.1, port: %s, security: Plaintext, from: "Lockbox <lockbox@contoso.example>"}\n' "$smtp" \
    >"$state/notifications.yaml"
  flags=(--notifications-config "$state/notifications.yaml" --notifications-secrets "$state/notifications")
fi
KUBECONFIG=$account nohup "$bin/lockbox-operator" run --log-format text ${flags[@]+"${flags[@]}"} >"$state/operator.log" 2>&1 </dev/null &
echo $! >"$state/operator.pid"

user ada ada@contoso.example
user alice alice@contoso.example
user kim kim@provider.example provider:engineers provider:secure-workstations

# Admission policies know our kinds a moment after these are served.
for _ in $(seq 120); do
  if as_ada kubectl apply --dry-run=server -f examples/global-administrator/settings.yaml >/dev/null 2>&1; then break; fi
  sleep 0.5
done

say "2. Ada switches Lockbox on and makes Alice the Owner of the subscription, which is a namespace."
as admin kubectl create namespace contoso-prod
as admin kubectl create configmap shop-settings -n contoso-prod --from-literal=upstream=shop:8081
as admin kubectl create configmap shop-prices -n contoso-prod --from-literal=list=secret
as ada kubectl apply -f examples/global-administrator/settings.yaml
as ada kubectl apply -f examples/global-administrator/owner-assignment.yaml
as ada kubectl wait --for=condition=Ready lbs/default --timeout=60s
as ada kubectl wait --for=condition=AdmissionEnforced lbs/default --timeout=60s
as ada kubectl wait --for=condition=Active lra/alice-owner -n contoso-prod --timeout=60s

say "3. Kim, a support engineer of the provider, has no access, and asks for some."
for _ in $(seq 60); do
  if as_kim kubectl auth can-i create lockboxrequests -n contoso-prod >/dev/null 2>&1; then break; fi
  sleep 0.5
done
refused kim kubectl get configmap shop-settings -n contoso-prod
request=examples/engineer/request-subscription.yaml
if kubectl get mutatingadmissionpolicies.admissionregistration.k8s.io >/dev/null 2>&1; then
  as kim kubectl create -f "$request"
else
  # Before Kubernetes 1.36 the request says itself who asks.
  groups=$(as_kim kubectl auth whoami -o jsonpath='{.status.userInfo.groups}')
  as_kim kubectl create --dry-run=client --validate=false -o json -f "$request" |
    as_kim kubectl patch --local -f - --type=merge -o yaml \
      -p "{\"spec\":{\"requester\":{\"username\":\"kim@provider.example\",\"groups\":$groups}}}" |
    as kim kubectl create -f -
fi
name=sr-2611210040000123
# The right to read one's own request comes a moment after it.
for _ in $(seq 60); do
  if as_kim kubectl get lbr $name -n contoso-prod >/dev/null 2>&1; then break; fi
  sleep 0.2
done
as kim kubectl wait --for=jsonpath='{.status.phase}'=CustomerNotified lbr/$name -n contoso-prod --timeout=60s

say "4. Alice sees what waits for her, and what it would allow."
as alice kubectl get lbr -n contoso-prod
as alice kubectl get lbr $name -n contoso-prod -o jsonpath='{.spec.justification}{"\n"}{range .status.effect.rules[*]}{"  "}{@}{"\n"}{end}'

if [ "$CLUSTER" = own ]; then
  say "   Alice gets an e-mail, too."
  letter=
  for _ in $(seq 60); do
    letter=$(curl -fsS "$mailbox/view/latest.txt?query=to:alice@contoso.example" 2>/dev/null) && break
    sleep 0.5
  done
  [ -n "$letter" ] || fail "no e-mail came within 30 s: look at $state/operator.log"
  printf '%s\n' "$letter" | sed 's/^/  | /'
fi

say "5. Kim cannot approve it. Alice can, and cuts it down to 20 seconds, to show how it ends."
shorthand='{"spec":{"decision":{"verdict":"Approve","reason":"maintenance window agreed","duration":"20s"}}}'
if ! kubectl get mutatingadmissionpolicies.admissionregistration.k8s.io >/dev/null 2>&1; then
  shorthand='{"spec":{"decisions":{"alice@contoso.example":{"verdict":"Approve","reason":"maintenance window agreed","duration":"20s"}}}}'
fi
refused kim kubectl patch lbr $name -n contoso-prod --type=merge -p "$shorthand"
as alice kubectl patch lbr $name -n contoso-prod --type=merge -p "$shorthand"
as kim kubectl wait --for=condition=AccessGranted lbr/$name -n contoso-prod --timeout=60s

say "6. Kim has access to exactly that object."
as kim kubectl get configmap shop-settings -n contoso-prod -o jsonpath='{.data}{"\n"}'
refused kim kubectl get configmap shop-prices -n contoso-prod

say "7. The time is up, and the access ends by itself."
as kim kubectl wait --for=jsonpath='{.status.phase}'=Completed lbr/$name -n contoso-prod --timeout=120s
refused kim kubectl get configmap shop-settings -n contoso-prod

say "8. Every action is an Event, and an entry in the request's history."
as alice kubectl events -n contoso-prod --for lockboxrequest/$name
as alice kubectl get lbr $name -n contoso-prod \
  -o jsonpath='{range .status.history[*]}{.sequence}{"  "}{.at}{"  "}{.action}{"  "}{.actor}{"\n"}{end}'

cat <<T

The cluster is still up. Try next:
T
if [ "$CLUSTER" = own ]; then
  cat <<T
  eval "\$($tool env $NAME)"                          # kubectl and helm for this cluster, as its administrator
  export KUBECONFIG=\$($tool kubeconfig $NAME --user alice@contoso.example)     # or as somebody else
  export KUBECONFIG=\$($tool kubeconfig $NAME --user kim@provider.example --group provider:engineers --group provider:secure-workstations)
T
fi
cat <<T
  kubectl explain lockboxrequest.spec
  kubectl get lbr -A -o wide
  less $state/operator.log
T
if [ "$CLUSTER" = own ]; then
  cat <<T
  curl -s $mailbox/api/v1/messages                   # every e-mail of this demo
T
fi
cat <<T
  make demo-down CLUSTER=$CLUSTER
T
