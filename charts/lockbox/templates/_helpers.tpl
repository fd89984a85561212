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

{{/*
The operator's --notifications-config; empty if nothing leaves the cluster. Values of older releases have none of it
(helm upgrade --reuse-values).
*/}}
{{- define "lockbox.notifications" -}}
{{- with .Values.notifications -}}
{{- if .smtp.host -}}
smtp:
  host: {{ .smtp.host | quote }}
  {{- with .smtp.port }}
  port: {{ int . }}
  {{- end }}
  security: {{ .smtp.security | quote }}
  from: {{ .smtp.from | quote }}
  authentication: {{ .smtp.authentication | quote }}
  {{- with .smtp.heloName }}
  heloName: {{ . | quote }}
  {{- end }}
  timeoutSeconds: {{ int .smtp.timeoutSeconds }}
{{- else if .existingSecret -}}
{}
{{- end -}}
{{- end -}}
{{- end }}

{{/* The reasons of Lockbox's Events, as a list in CEL: those of a request's history, then those of the settings and of removals. */}}
{{- define "lockbox.eventReasons" -}}
'RequestInternalApproval', 'ApproveInternally', 'DenyInternally', 'CreateLockboxRequest', 'ApproveLockboxRequest',
'DenyLockboxRequest', 'AutoApproveLockboxRequest', 'AutoDenyLockboxRequest', 'ExpireLockboxRequest',
'ExpireInternalApproval', 'CancelLockboxRequest', 'CancelBeforeNotification', 'GrantAccess', 'CompleteAccess',
'RevokeAccess', 'FailAccess', 'SkipLockboxRequest', 'ExcludeLockboxRequest', 'RejectDecision', 'TamperWithGrant', 'EndOverdue', 'NotificationFailed',
'RecordActivity',
'EnableLockbox', 'DisableLockbox', 'ChangeSettings', 'DeleteSettings', 'RemoveLockboxRequest', 'EndAccessFailed',
'CreateRoleAssignment', 'ActivateRoleAssignment', 'EndActivation', 'DeleteRoleAssignment',
'SettingsUnreadable', 'RoleAssignmentUnreadable', 'AdmissionEnforcedLost', 'AdmissionEnforcedRestored',
'SafetyNetLost', 'SafetyNetRestored', 'ClockInSyncLost', 'ClockInSyncRestored'
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

{{/* The phases that have no next one. */}}
{{- define "lockbox.cel.finished" -}}
['Rejected', 'NotTriggered', 'Excluded', 'Denied', 'Expired', 'Cancelled', 'Failed', 'Completed', 'Revoked']
{{- end }}

{{/*
May the caller approve in the namespace of this request now? A verb of its own, held by lockbox-approver and lockbox-owner, and
by whoever holds every verb. Who was asked about a request is in its status.approvers.
*/}}
{{- define "lockbox.cel.decidesHere" -}}
authorizer.group('lockbox.dev').resource('lockboxrequests').namespace(oldObject.metadata.namespace).check('decide').allowed()
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

{{/* ---- What may be in an access level, and so in a grant: policies lockbox-access-levels and lockbox-operator-limits-roles ---- */}}

{{/*
The lists of crates/lifecycle/src/access/danger.rs, which says what each is for. tests/cluster/grantable.rs holds the two equal.
*/}}
{{- define "lockbox.grantable.variables" -}}
- name: rules
  expression: object.?rules.orValue([])
- name: readVerbs
  expression: "['get', 'list', 'watch']"
- name: readSubresources
  expression: "['log', 'scale', 'status']"
- name: knownRights
  expression: >-
    ['create pods/attach', 'create pods/exec', 'create pods/portforward',
    'get pods/attach', 'get pods/exec', 'get pods/portforward',
    'get virtualmachineinstances.subresources.kubevirt.io/console',
    'get virtualmachineinstances.subresources.kubevirt.io/portforward',
    'get virtualmachineinstances.subresources.kubevirt.io/vnc',
    'get virtualmachines.subresources.kubevirt.io/portforward',
    'update virtualmachines.subresources.kubevirt.io/memorydump']
- name: neverVerbs
  expression: "['approve', 'attest', 'bind', 'escalate', 'impersonate', 'sign']"
- name: neverReached
  expression: "['certificatesigningrequests', 'secrets', 'signers']"
- name: neverReachedEndings
  expression: >-
    ['/approval', '/ephemeralcontainers', '/proxy', '/secrets', 'credentials', 'kubeconfig', 'kubeconfigs', 'token', 'tokens']
- name: neverWrittenGroups
  expression: >-
    ['admissionregistration', 'apiextensions', 'apiregistration', 'authentication', 'authorization', 'certificates',
    'flowcontrol', 'identity', 'lockbox', 'login', 'oauth', 'rbac', 'user']
- name: neverWritten
  expression: >-
    ['cronjobs', 'daemonsets', 'deployments', 'endpoints', 'endpointslices', 'events', 'groups', 'jobs', 'namespaces',
    'nodes', 'persistentvolumes', 'pods', 'podtemplates', 'projectrequests', 'projects', 'replicasets',
    'replicationcontrollers', 'securitycontextconstraints', 'statefulsets', 'users']
- name: neverWrittenEndings
  expression: "['bindings', 'certificaterequests', 'roles', 'roletemplates', 'secrets', 'serviceaccounts']"
{{- end }}

{{/*
For each rule r with number i, the words that an expression yields: rules[0] word, word; rules[1] word. '' for none.
Usage: include "lockbox.cel.perRule" "expression of a text in which r is the rule"
*/}}
{{- define "lockbox.cel.perRule" -}}
variables.rules.transformList(i, r, {{ . }}).transformList(i, t, t != '', 'rules[' + string(i) + '] ' + t).join('; ')
{{- end }}

{{/*
The same for the rights of a rule, verb v on resource x of API group g: rules[0] update, patch configmaps.
Usage: include "lockbox.cel.perRight" (list "verbs" "condition on their list vs" "text for vs"). What costs least stands first:
a policy may spend so much and no more.
*/}}
{{- define "lockbox.cel.perRight" -}}
{{- include "lockbox.cel.perRule" (printf "r.?apiGroups.orValue([]).map(g, r.?resources.orValue([]).map(x, [%s].filter(vs, vs.size() > 0 && %s).map(vs, %s).join('')).filter(t, t != '').join('; ')).filter(t, t != '').join('; ')" (index . 0) (index . 1) (index . 2)) -}}
{{- end }}

{{/* A kind in words, as the operator writes it: deployments.apps/scale */}}
{{- define "lockbox.cel.kind" -}}
x.split('/', 2)[0] + (g == '' ? '' : '.' + g) + (x.contains('/') ? '/' + x.split('/', 2)[1] : '')
{{- end }}

{{- define "lockbox.cel.isWild" -}}
(g.contains('*') || x.contains('*') || v.contains('*'))
{{- end }}

{{- define "lockbox.cel.isNeverVerb" -}}
(v in variables.neverVerbs || v.startsWith('impersonate') || (!v.matches('^[a-z]+$') && !v.contains('*')))
{{- end }}

{{/* Credentials, and ways past admission. Of a node only its status is harmless: the rest reaches the kubelet. */}}
{{- define "lockbox.cel.isNeverReached" -}}
(x.split('/', 2)[0] in variables.neverReached || variables.neverReachedEndings.exists(e, x.endsWith(e) || x.split('/', 2)[0].endsWith(e)) || (x.startsWith('nodes/') && x != 'nodes/status'))
{{- end }}

{{- define "lockbox.cel.isNeverWritten" -}}
(!(v in variables.readVerbs) && (g.split('.')[0] in variables.neverWrittenGroups || x.split('/', 2)[0] in variables.neverWritten || variables.neverWrittenEndings.exists(e, x.split('/', 2)[0].endsWith(e))))
{{- end }}

{{- define "lockbox.cel.needsReason" -}}
(!(v in variables.readVerbs) || (v != 'watch' && x.contains('/') && !(x.split('/', 2)[1] in variables.readSubresources)))
{{- end }}

{{/*
Everything that is wrong with variables.rules, one text for each reason with what to do and where: variables.reasons is
empty when the rules are fit. Usage: include "lockbox.grantable.reasons" (dict "named" true), where named says whether
rights beyond reading must be named in variables.extra, as texts like update, patch configmaps.
*/}}
{{- define "lockbox.grantable.reasons" -}}
{{- $kind := include "lockbox.cel.kind" . -}}
{{- $rights := printf "vs.join(', ') + ' ' + %s" $kind -}}
{{- $wild := include "lockbox.cel.isWild" . -}}
{{- $verb := include "lockbox.cel.isNeverVerb" . -}}
{{- $reached := include "lockbox.cel.isNeverReached" . -}}
{{- $written := include "lockbox.cel.isNeverWritten" . -}}
{{- $known := printf "(v + ' ' + %s) in variables.knownRights" $kind -}}
- name: wildcards
  expression: >-
    {{ include "lockbox.cel.perRule" "(r.?apiGroups.orValue([]) + r.?resources.orValue([]) + r.verbs).filter(w, w.contains('*')).join(', ')" }}
- name: paths
  expression: >-
    {{ include "lockbox.cel.perRule" "r.?nonResourceURLs.orValue([]).join(', ')" }}
- name: names
  expression: >-
    {{ include "lockbox.cel.perRule" "r.?resourceNames.orValue([]).filter(n, n == '' || n.contains('*')).map(n, n == '' ? '\"\"' : n).join(', ')" }}
- name: characters
  expression: >-
    {{ include "lockbox.cel.perRule" "(r.?apiGroups.orValue([]) + r.?resources.orValue([]) + r.verbs + r.?resourceNames.orValue([])).filter(w, !w.matches('^[-a-zA-Z0-9._:/*@+=~#%&?]*$')).join(', ')" }}
- name: verbs
  expression: >-
    {{ include "lockbox.cel.perRule" (printf "r.verbs.filter(v, %s).map(v, v == '' ? '\"\"' : v).join(', ')" $verb) }}
- name: credentials
  expression: >-
    {{ include "lockbox.cel.perRight" (list "r.verbs" $reached $kind) }}
- name: guarded
  expression: >-
    {{ include "lockbox.cel.perRight" (list (printf "r.verbs.filter(v, %s && !%s && !%s && !(%s))" $written $wild $verb $known) (printf "!%s" $reached) $rights) }}
{{- if .named }}
- name: unnamed
  expression: >-
    {{ include "lockbox.cel.perRight" (list (printf "r.verbs.filter(v, %s && !%s && !%s && !%s && !(%s) && !variables.extra.exists(e, e.endsWith(' ' + %s) && v in e.substring(0, e.lastIndexOf(' ')).split(',').map(t, t.trim())))" (include "lockbox.cel.needsReason" .) $wild $verb $written $known $kind) (printf "!%s" $reached) $rights) }}
{{- end }}
- name: found
  expression: >-
    [['wildcards, list groups, resources and verbs one by one', variables.wildcards],
    ['nonResourceURLs, take them out', variables.paths],
    ['resourceNames that stand for all objects, take them out', variables.names],
    ['characters that no name has, take them out', variables.characters],
    ['verbs that reach past RBAC or past the end of the access, take them out', variables.verbs],
    ['credentials, or ways past admission, take them out', variables.credentials],
    ['writes that make Pods or rights, or change records, leave get, list and watch', variables.guarded]
    {{- if .named }},
    ['not known to be harmless, take them out or name them in the annotation lockbox.dev/extra-rights', variables.unnamed]
    {{- end }}].filter(why, why[1] != '')
# A message has at most 5 kB: each reason has its share.
- name: reasons
  expression: >-
    variables.found.map(why, why[0] + ': ' + (why[1].size() > 3200 / variables.found.size() ?
    why[1].substring(0, 3200 / variables.found.size()) + '…' : why[1])).join('. ')
{{- end }}
