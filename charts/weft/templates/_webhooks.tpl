{{/*
Webhooks of the MutatingWebhookConfiguration for `namespaces` and `pods` (label expressions), named `name`. A pod's own
word is weft.dev/inject, and only without it sidecar.istio.io/inject; a selector knows no Or, so there is one webhook for
pods with Weft's label and one for those without it.
*/}}
{{- define "weft.injectionWebhooks" }}
{{- $no := list "false" "no" "off" "n" }}
{{- $pods := .pods | default list }}
{{- include "weft.injectionWebhook" (merge (dict "pods" (concat $pods (list
      (dict "key" "weft.dev/inject" "operator" "DoesNotExist")
      (dict "key" "sidecar.istio.io/inject" "operator" "NotIn" "values" $no)))) .) }}
{{- include "weft.injectionWebhook" (merge (dict "name" (printf "%s-opt-in" .name) "pods" (concat $pods (list
      (dict "key" "weft.dev/inject" "operator" "Exists")
      (dict "key" "weft.dev/inject" "operator" "NotIn" "values" $no)))) .) }}
{{- end }}

{{/* One of them. */}}
{{- define "weft.injectionWebhook" }}
{{- $root := .root }}
{{- $notOurs := list "kube-system" "kube-public" "kube-node-lease" $root.Release.Namespace | uniq }}
{{- $namespaces := append .namespaces (dict "key" "kubernetes.io/metadata.name" "operator" "NotIn" "values" $notOurs) }}
  - name: {{ .name }}.injection.weft.dev
    clientConfig: {{- include "weft.webhookClient" (dict "root" $root "path" "/inject") | nindent 6 }}
    rules:
      - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods], scope: Namespaced}
    namespaceSelector:
      matchExpressions: {{- toYaml $namespaces | nindent 8 }}
    objectSelector:
      matchExpressions: {{- toYaml .pods | nindent 8 }}
    failurePolicy: {{ $root.Values.injection.webhook.failurePolicy }}
    timeoutSeconds: {{ $root.Values.injection.webhook.timeoutSeconds }}
    # Containers that another webhook adds later have probes to rewrite, too; a second pass changes nothing else.
    reinvocationPolicy: IfNeeded
    matchPolicy: Equivalent
    # Certificates may be issued on the way, into Secrets: but never for a dry run.
    sideEffects: NoneOnDryRun
    admissionReviewVersions: [v1]
{{- end }}

{{/* Where webhooks are served. Without caBundle: the control plane writes it, and Helm leaves alone what it never set. */}}
{{- define "weft.webhookClient" -}}
service:
  name: {{ include "weft.name" .root }}
  namespace: {{ .root.Release.Namespace }}
  path: {{ .path }}
  port: 443
{{- end }}

{{/* Fails where another release has this revision: both would inject the same pods. Sees nothing without a cluster. */}}
{{- define "weft.refuseSecondRevision" }}
{{- range (lookup "admissionregistration.k8s.io/v1" "MutatingWebhookConfiguration" "" "").items }}
{{- $labels := .metadata.labels | default dict }}
{{- if and (eq (get $labels "app.kubernetes.io/part-of") "weft") (eq (get $labels "weft.dev/rev") $.Values.revision) (ne .metadata.name (include "weft.clusterName" $)) }}
{{- fail (printf "revision %q is installed already (MutatingWebhookConfiguration %s): choose another `revision`, or uninstall that release" $.Values.revision .metadata.name) }}
{{- end }}
{{- end }}
{{- end }}
