{{/* The name of all that the operator is made of. */}}
{{- define "gritstone.name" -}}
{{- if contains "gritstone" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-gritstone" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "gritstone.selector" -}}
app.kubernetes.io/name: gritstone-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "gritstone.labels" -}}
{{ include "gritstone.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "gritstone.serviceAccount" -}}
{{- if .Values.serviceAccount.name }}{{ .Values.serviceAccount.name }}
{{- else if .Values.serviceAccount.create }}{{ include "gritstone.name" . }}
{{- else }}{{ fail "serviceAccount.name: name the account that is there already, or let serviceAccount.create make one" }}
{{- end }}
{{- end }}

{{/* An image's reference. Takes a list of its values and the root. */}}
{{- define "gritstone.image" -}}
{{- $image := index . 0 }}{{ $root := index . 1 }}
{{- if $image.digest }}{{ $image.repository }}@{{ $image.digest }}
{{- else }}{{ $image.repository }}:{{ $image.tag | default $root.Chart.AppVersion }}
{{- end }}
{{- end }}

{{/* The names of a list's elements, separated by commas. */}}
{{- define "gritstone.names" -}}
{{- range $number, $element := . }}{{ if $number }},{{ end }}{{ $element.name }}{{ end }}
{{- end }}

{{/* "true" where every namespace is looked after. */}}
{{- define "gritstone.everywhere" -}}
{{- if has "*" .Values.namespaces }}{{ if gt (len .Values.namespaces) 1 }}{{ fail "namespaces: \"*\" is every namespace, so name it alone" }}{{ end }}true{{ end }}
{{- end }}

{{/* The namespaces that are looked after, as a list in JSON; not asked where that is every one. */}}
{{- define "gritstone.namespaces" -}}
{{- .Values.namespaces | default (list .Release.Namespace) | uniq | toJson }}
{{- end }}

{{/* What the operator may do in a namespace that it looks after: no more than it does. */}}
{{- define "gritstone.rules" -}}
# What people write, and its status.
- apiGroups: [gritstone.dev]
  resources: [queueworkers, dispatchers, recurringtasks]
  verbs: [list, watch]
- apiGroups: [gritstone.dev]
  resources: [queueworkers/status, dispatchers/status, recurringtasks/status, cronschedules/status]
  verbs: [patch]
# Finalizers.
- apiGroups: [gritstone.dev]
  resources: [recurringtasks]
  verbs: [patch]
# What it writes alone.
- apiGroups: [gritstone.dev]
  resources: [cronschedules]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [list, watch, create, patch]
# Deaths and idle pods are seen; what a pod costs to delete is written.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, patch]
# Only those that manifests name, and never a list of them.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{/* The files that URLs of databases name, by their folder: the sources of a projected volume for each. As JSON. */}}
{{- define "gritstone.databaseFolders" -}}
{{- $folders := dict }}
{{- $several := or (include "gritstone.everywhere" .) (gt (include "gritstone.namespaces" . | fromJsonArray | len) 1) }}
{{- range .Values.operator.databaseFiles }}
{{- if and $several (not (regexMatch "^/etc/(databases/[a-z0-9-]+|authorities)/" .path)) }}
{{- fail (printf "operator.databaseFiles: %s would not be opened: with several namespaces a file goes to /etc/databases/NAMESPACE/, or, an authority's certificate that all may use, to /etc/authorities/" .path) }}
{{- end }}
{{- $item := dict "key" (.key | default (base .path)) "path" (base .path) }}
{{- $source := dict "name" (.configMap | default .secret) "optional" true "items" (list $item) }}
{{- $source = dict (ternary "configMap" "secret" (hasKey . "configMap")) $source }}
{{- $_ := set $folders (dir .path) (append (get $folders (dir .path) | default list) $source) }}
{{- end }}
{{- $folders | toJson }}
{{- end }}

{{/* A duration such as 10m in seconds. */}}
{{- define "gritstone.seconds" -}}
{{- $number := regexFind "^[0-9]+" . | int }}{{ $unit := regexFind "[a-z]+$" . }}
{{- if eq $unit "ms" }}{{ divf $number 1000 }}{{ else }}{{ mul $number (get (dict "s" 1 "m" 60 "h" 3600 "d" 86400) $unit) }}{{ end }}
{{- end }}
