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

{{/* Labels of pods: the user's, the selector's, and that the control plane is no part of the mesh. */}}
{{- define "weft.podLabels" -}}
{{- $own := dict "weft.dev/inject" "false" "sidecar.istio.io/inject" "false" }}
{{- $selected := include "weft.selectorLabels" . | fromYaml }}
{{- toYaml (merge $own $selected (.Values.podLabels | default dict) (.Values.labels | default dict)) }}
{{- end }}

{{/* Labels of everything else. */}}
{{- define "weft.labels" -}}
{{- toYaml (merge (include "weft.ownLabels" . | fromYaml) (.Values.labels | default dict)) }}
{{- end }}

{{- define "weft.ownLabels" -}}
{{ include "weft.selectorLabels" . }}
app.kubernetes.io/version: {{ include "weft.appVersion" . | quote }}
app.kubernetes.io/component: control-plane
app.kubernetes.io/part-of: weft
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimAll "-_." }}
weft.dev/rev: {{ .Values.revision | quote }}
{{- end }}

{{/* The version as a label and as an image's tag, neither of which may have the + of build metadata. */}}
{{- define "weft.appVersion" -}}
{{ .Chart.AppVersion | replace "+" "_" | trunc 63 | trimAll "-_." }}
{{- end }}

{{- define "weft.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default (include "weft.appVersion" $) }}{{ end }}
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
