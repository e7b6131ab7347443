{{/* The name of everything in the release's namespace: `weft`, or `weft-REVISION`. */}}
{{- define "weft.name" -}}
{{- if eq .Values.revision "default" }}weft{{ else }}weft-{{ .Values.revision }}{{ end }}
{{- end }}

{{/* The name of what has no namespace. Releases of the same revision in two namespaces do not collide. */}}
{{- define "weft.clusterName" -}}
{{ include "weft.name" . }}-{{ .Release.Namespace }}
{{- end }}

{{/* Labels that select the control plane's pods, and no others'. A Deployment's cannot change. */}}
{{- define "weft.selectorLabels" -}}
app: {{ include "weft.name" . }}
app.kubernetes.io/name: weft
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "weft.labels" -}}
{{ include "weft.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: control-plane
app.kubernetes.io/part-of: weft
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
weft.dev/rev: {{ .Values.revision | quote }}
{{- end }}

{{- define "weft.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{/* Whether the release has a role: "true", or nothing. */}}
{{- define "weft.operator" -}}{{ if has "operator" .Values.roles }}true{{ end }}{{- end }}
{{- define "weft.injector" -}}{{ if has "injector" .Values.roles }}true{{ end }}{{- end }}
{{- define "weft.validates" -}}{{ if and .Values.validation.enabled (has "operator" .Values.roles) }}true{{ end }}{{- end }}

{{/*
How certificates are delivered. Settled here and not at run time, because the rights that it needs are settled here too.
*/}}
{{- define "weft.delivery" -}}
{{- if ne .Values.certificates.delivery "auto" -}}
{{ .Values.certificates.delivery }}
{{- else if .Capabilities.APIVersions.Has "certificates.k8s.io/v1/PodCertificateRequest" -}}
podCertificates
{{- else -}}
secrets
{{- end }}
{{- end }}
