{{/*
Names are fixed, not derived from the release: a cluster has one Lockbox, and people, policies and documents name its
objects. Only the operator's namespace is free.
*/}}

{{- define "lockbox.labels" -}}
app.kubernetes.io/name: lockbox
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: lockbox
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "lockbox.selector" -}}
app.kubernetes.io/name: lockbox
app.kubernetes.io/component: operator
{{- end }}

{{- define "lockbox.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* The ClusterRoles for people: the only ones that the operator may bind. */}}
{{- define "lockbox.peopleRoles" -}}
["lockbox-requester", "lockbox-internal-approver", "lockbox-approver", "lockbox-owner", "lockbox-owner-activated", "lockbox-eligible", "lockbox-administrator", "lockbox-administrator-activated", "lockbox-auditor", "lockbox-settings-viewer"]
{{- end }}

{{/* The role that a dry run binds to try whether a grant would be taken. It never exists. */}}
{{- define "lockbox.trialRole" -}}
lockbox-trial
{{- end }}

{{/* The image that deadline Jobs name, and never run: the operator's own unless the values say otherwise. */}}
{{- define "lockbox.deadlineJobImage" -}}
{{- default (include "lockbox.image" .) (.Values.deadlineJob).image -}}
{{- end }}

{{/* The reasons of Lockbox's Events, as a list in CEL: those of a request's history, then those of the settings. */}}
{{- define "lockbox.eventReasons" -}}
'RequestInternalApproval', 'ApproveInternally', 'DenyInternally', 'CreateLockboxRequest', 'ApproveLockboxRequest',
'DenyLockboxRequest', 'AutoApproveLockboxRequest', 'AutoDenyLockboxRequest', 'ExpireLockboxRequest',
'ExpireInternalApproval', 'CancelLockboxRequest', 'CancelBeforeNotification', 'GrantAccess', 'CompleteAccess',
'RevokeAccess', 'FailAccess', 'SkipLockboxRequest', 'ExcludeLockboxRequest', 'RejectDecision', 'TamperWithGrant', 'EndOverdue',
'EnableLockbox', 'DisableLockbox', 'ChangeSettings'
{{- end }}

{{/* ---- CEL: constants that are rendered into the policies ---- */}}

{{/* A text in single quotes. Names of users and groups hold quotes, backslashes and blanks: o'brien@…, CONTOSO\ada. */}}
{{- define "lockbox.cel.string" -}}
'{{ . | replace "\\" "\\\\" | replace "'" "\\'" }}'
{{- end }}

{{/* A list of texts: ['a', 'b']. */}}
{{- define "lockbox.cel.list" -}}
[{{ range $i, $text := . }}{{ if $i }}, {{ end }}{{ include "lockbox.cel.string" $text }}{{ end }}]
{{- end }}

{{/* The same with the letters A to Z in lower case, as lowerAscii() has them: to compare without case. */}}
{{- define "lockbox.cel.lowerList" -}}
[{{ range $i, $text := . }}{{ if $i }}, {{ end }}{{ include "lockbox.cel.string" $text }}.lowerAscii(){{ end }}]
{{- end }}

{{- define "lockbox.cel.operator" -}}
'system:serviceaccount:{{ .Release.Namespace }}:lockbox-operator'
{{- end }}

{{- define "lockbox.cel.protectedNamespaces" -}}
{{- include "lockbox.cel.list" (concat (list "kube-system" "kube-public" "kube-node-lease" .Release.Namespace) .Values.protectedNamespaces | uniq) -}}
{{- end }}

{{/* The cluster's own controllers that end things: when a namespace or an owner goes. */}}
{{- define "lockbox.cel.collectors" -}}
{{- include "lockbox.cel.list" (list .Values.controllers.garbageCollector .Values.controllers.namespace | uniq) -}}
{{- end }}

{{/*
Whether an object is written back as it was. Then nothing is stored and resourceVersion stays: by the time a validating
policy sees an update, the API server has put back the timestamps in managedFields of a write that changes no field.
*/}}
{{- define "lockbox.cel.unchanged" -}}
object != null && oldObject != null && object == oldObject
{{- end }}

{{/*
Whether a field is there and is an object. Mutating policies see what the definition has not looked at yet.
Usage: include "lockbox.cel.isMap" "object.spec"
*/}}
{{- define "lockbox.cel.isMap" -}}
has({{ . }}) && type(dyn({{ . }})) == map
{{- end }}

{{/* The seconds of a duration text. Usage: include "lockbox.cel.seconds" "self.duration"; crates/api has the same. */}}
{{- define "lockbox.cel.seconds" -}}
(int('0' + {{ . }}.find('[0-9]{1,6}d').replace('d', '')) * 86400 + int('0' + {{ . }}.find('[0-9]{1,6}h').replace('h', '')) * 3600 + int('0' + {{ . }}.find('[0-9]{1,6}m').replace('m', '')) * 60 + int('0' + {{ . }}.find('[0-9]{1,6}s').replace('s', '')) * 1)
{{- end }}

{{/* May the caller administer Lockbox? A verb of its own on the settings, held by lockbox-administrator and cluster-admin. */}}
{{- define "lockbox.cel.administers" -}}
authorizer.group('lockbox.dev').resource('lockboxsettings').name('default').check('administer').allowed()
{{- end }}

{{/*
Is the caller one of the provider's people? The roles for engineers and internal approvers carry the verb
act-for-provider; whoever administers Lockbox is not counted (cluster-admin holds every verb there is).
*/}}
{{- define "lockbox.cel.actsForProvider" -}}
authorizer.group('lockbox.dev').resource('lockboxsettings').name('default').check('act-for-provider').allowed()
{{- end }}

{{/*
A match condition that lets an update pass which changes nothing. Storage migration and a rotation of encryption keys write
every object back as it is, and whoever does that (an administrator, storage-version-migrator-controller) need not be
allowed to change it. managedFields and what else the API server keeps by itself do not count. Usage:
include "lockbox.unlessUnchanged" . | nindent 2
*/}}
{{- define "lockbox.unlessUnchanged" -}}
- name: changes-something
  expression: >-
    object == null || oldObject == null ||
    !dyn(object).all(k, k == 'metadata' || (k in dyn(oldObject) && dyn(object)[k] == dyn(oldObject)[k])) ||
    !dyn(oldObject).all(k, k in dyn(object)) ||
    object.metadata.?labels != oldObject.metadata.?labels ||
    object.metadata.?annotations != oldObject.metadata.?annotations ||
    object.metadata.?ownerReferences != oldObject.metadata.?ownerReferences ||
    object.metadata.?finalizers != oldObject.metadata.?finalizers
{{- end }}

{{/* The binding of a validating policy. Usage: include "lockbox.bind" (list . "policy-name") */}}
{{- define "lockbox.bind" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ index . 1 }}
  labels: {{- include "lockbox.labels" (index . 0) | nindent 4 }}
spec:
  policyName: {{ index . 1 }}
  validationActions: [Deny]
{{- end }}

{{/* The binding of a mutating policy. */}}
{{- define "lockbox.bindMutation" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata:
  name: {{ index . 1 }}
  labels: {{- include "lockbox.labels" (index . 0) | nindent 4 }}
spec:
  policyName: {{ index . 1 }}
{{- end }}

{{- define "lockbox.hasMutations" -}}
{{- if .Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy" }}true{{ end -}}
{{- end }}

{{/*
What may never be in an access level, and so never in a grant. Both policies (access-levels, operator-limits-roles)
include these validations; variables.rules are the rules. Usage: include "lockbox.rules.never" "an access level"
*/}}
{{- define "lockbox.rules.never" -}}
- expression: >-
    variables.rules.all(r, !has(r.nonResourceURLs) &&
      r.?apiGroups.orValue([]).all(g, !g.contains('*')) &&
      r.?resources.orValue([]).all(x, !x.contains('*')) &&
      r.verbs.all(v, !v.contains('*')))
  reason: Forbidden
  message: "{{ . }} has no wildcards and no URLs: name the groups, resources and verbs that it needs"
- expression: >-
    variables.rules.all(r, r.?resourceNames.orValue([]).all(n, n != '' && n != '*'))
  reason: Forbidden
  message: "{{ . }} names its objects: an empty name or * would stand for all of them"
- expression: >-
    variables.rules.all(r, r.verbs.all(v, !(v in ['escalate', 'bind', 'impersonate', 'approve', 'sign', 'attest']) &&
      !v.startsWith('impersonate:')))
  reason: Forbidden
  message: "{{ . }} holds no escalate, bind, impersonate, approve, sign or attest: with them it could hand itself more"
- expression: >-
    variables.rules.all(r, !('watch' in r.verbs))
  reason: Forbidden
  message: "{{ . }} holds no watch: a watch goes on after the access has ended. Use list"
- expression: >-
    variables.rules.all(r, r.?resources.orValue([]).all(x,
      !(x in ['secrets', 'serviceaccounts', 'certificatesigningrequests', 'signers']) &&
      !x.startsWith('certificatesigningrequests/') &&
      !x.endsWith('/proxy') && !x.endsWith('/token') && !x.endsWith('/ephemeralcontainers') &&
      (!x.startsWith('nodes/') || x == 'nodes/status')))
  reason: Forbidden
  message: "{{ . }} reaches no secrets, service accounts, tokens, certificate requests, proxies, ephemeral containers or kubelets"
- expression: >-
    variables.rules.all(r, r.verbs.all(v, v in ['get', 'list']) ||
      !r.?apiGroups.orValue([]).exists(g, g in ['rbac.authorization.k8s.io', 'admissionregistration.k8s.io',
        'apiextensions.k8s.io', 'apiregistration.k8s.io', 'certificates.k8s.io', 'authentication.k8s.io',
        'authorization.k8s.io', 'flowcontrol.apiserver.k8s.io', 'lockbox.dev']))
  reason: Forbidden
  message: "{{ . }} only reads RBAC, admission, custom resource definitions, certificates, flow control and Lockbox's own kinds"
- expression: >-
    variables.rules.all(r, r.verbs.all(v, v in ['get', 'list']) || (
      r.?resources.orValue([]).all(x, x in ['pods/exec', 'pods/attach', 'pods/portforward'] ||
        !(x.split('/')[0] in ['pods', 'podtemplates', 'replicationcontrollers', 'deployments', 'daemonsets', 'statefulsets',
          'replicasets', 'jobs', 'cronjobs', 'events', 'namespaces', 'nodes', 'persistentvolumes', 'bindings', 'endpoints',
          'endpointslices'])) &&
      !r.?apiGroups.orValue([]).exists(g, g in ['kubevirt.io', 'pool.kubevirt.io', 'argoproj.io', 'sparkoperator.k8s.io',
        'ray.io', 'kubeflow.org', 'serving.kserve.io', 'serving.knative.dev', 'workspace.devfile.io', 'k6.io',
        'monitoring.coreos.com', 'postgresql.cnpg.io', 'mysql.oracle.com', 'pxc.percona.com', 'opensearch.opster.io',
        'clickhouse.altinity.com'])))
  reason: Forbidden
  message: "{{ . }} only reads Pods and what makes Pods: a Pod chooses any service account of its namespace, and stays after the access has ended"
{{- end }}
