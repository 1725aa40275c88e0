{{/* The names of this release's objects begin with it. */}}
{{- define "ringway.fullname" -}}
{{- if .Values.nameOverride -}}
{{- .Values.nameOverride -}}
{{- else if contains "ringway" .Release.Name -}}
{{- .Release.Name | trunc 20 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-ringway" (.Release.Name | trunc 12 | trimSuffix "-") -}}
{{- end -}}
{{- end }}

{{- define "ringway.selector" -}}
app.kubernetes.io/name: ringway
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "ringway.labels" -}}
{{ include "ringway.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "ringway.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* A directory of the node that no other release has. */}}
{{- define "ringway.stateDirectory" -}}
{{- $own := printf "%s-%s" .Release.Namespace (include "ringway.fullname" .) -}}
{{- .Values.state.hostPath | default (printf "/var/lib/ringway/%s" $own) -}}
{{- end }}

{{- define "ringway.runDirectory" -}}
{{- $own := printf "%s-%s" .Release.Namespace (include "ringway.fullname" .) -}}
{{- .Values.run.hostPath | default (printf "/run/ringway/%s" $own) -}}
{{- end }}

{{- define "ringway.organizationConfigMap" -}}
{{- $own := printf "%s-organization" (include "ringway.fullname" .) -}}
{{- .Values.organization.existingConfigMap | default $own -}}
{{- end }}

{{- define "ringway.membersConfigMap" -}}
{{- $own := printf "%s-members" (include "ringway.fullname" .) -}}
{{- .Values.members.existingConfigMap | default $own -}}
{{- end }}

{{/* Of the whole pod: the user, and that the key belongs to its group. */}}
{{- define "ringway.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .Values.user.uid }}
runAsGroup: {{ .Values.user.gid }}
fsGroup: {{ .Values.user.gid }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* Of a container that has the gateway's rights. */}}
{{- define "ringway.gatewaySecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
  add: [NET_ADMIN, NET_BIND_SERVICE{{ if .Values.netRaw }}, NET_RAW{{ end }}]
{{- end }}

{{/* Prepares the node and ends: in a container, /proc/sys is read-only. Takes root, sysctls and
directories. */}}
{{- define "ringway.hostContainer" -}}
{{- $root := .root -}}
- name: host
  image: {{ include "ringway.image" $root | quote }}
  imagePullPolicy: {{ $root.Values.image.pullPolicy }}
  command:
    - sh
    - -ec
    - |
      directories=$1 owner=$2
      shift 2
      for directory in $directories; do
        chown "$owner" "$directory"
        chmod 0755 "$directory"
      done
      for setting in "$@"; do
        sysctl -w "$setting"
      done
    - host
    - {{ .directories }}
    - {{ printf "%v:%v" $root.Values.user.uid $root.Values.user.gid | quote }}
    {{- range .sysctls }}
    - {{ quote . }}
    {{- end }}
  securityContext:
    runAsUser: 0
    runAsGroup: 0
    runAsNonRoot: false
    readOnlyRootFilesystem: true
    {{- if .sysctls }}
    privileged: true
    {{- else }}
    allowPrivilegeEscalation: false
    capabilities:
      drop: [ALL]
      add: [CHOWN, FOWNER]
    {{- end }}
  resources: {{- $root.Values.resources | toYaml | nindent 4 }}
  volumeMounts: {{- include "ringway.stateMounts" $root | nindent 4 }}
{{- end }}

{{/* Links the files of the gateway beside each other, as `ringway org init` makes them. */}}
{{- define "ringway.filesContainer" -}}
- name: files
  image: {{ include "ringway.image" . | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  command:
    - sh
    - -ec
    - cd /etc/ringway && for file in gateway/*; do ln -sfn "$file" .; done
  securityContext:
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities:
      drop: [ALL]
  resources: {{- .Values.resources | toYaml | nindent 4 }}
  volumeMounts: {{- include "ringway.fileMounts" . | nindent 4 }}
{{- end }}

{{- define "ringway.fileMounts" -}}
- name: etc
  mountPath: /etc/ringway
- name: gateway
  mountPath: /etc/ringway/gateway
  readOnly: true
- name: members
  mountPath: /etc/ringway/members
  readOnly: true
{{- end }}

{{- define "ringway.stateMounts" -}}
- name: state
  mountPath: /var/lib/ringway
- name: run
  mountPath: /run/ringway
{{- end }}

{{- define "ringway.tunMount" -}}
{{- if not .Values.tun.resource -}}
- name: tun
  mountPath: /dev/net/tun
{{- end }}
{{- end }}

{{- define "ringway.tunVolume" -}}
{{- if not .Values.tun.resource -}}
- name: tun
  hostPath:
    path: /dev/net/tun
    type: CharDevice
{{- end }}
{{- end }}

{{- define "ringway.namesSubjects" -}}
- kind: ServiceAccount
  name: {{ include "ringway.fullname" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}

{{/* What a service account has in a pod, where programs look for it. */}}
{{- define "ringway.apiMount" -}}
{{- if .Values.kubernetesNames.enabled -}}
- name: api
  mountPath: /var/run/secrets/kubernetes.io/serviceaccount
  readOnly: true
{{- end }}
{{- end }}

{{- define "ringway.apiVolume" -}}
{{- if .Values.kubernetesNames.enabled -}}
- name: api
  projected:
    defaultMode: 0440
    sources:
      - serviceAccountToken:
          path: token
          expirationSeconds: 3607
      - configMap:
          name: kube-root-ca.crt
          items:
            - key: ca.crt
              path: ca.crt
      - downwardAPI:
          items:
            - path: namespace
              fieldRef:
                fieldPath: metadata.namespace
{{- end }}
{{- end }}

{{/* The volumes of a gateway's pod, but for a claimed state. Takes root and gateway. */}}
{{- define "ringway.volumes" -}}
{{- $root := .root -}}
- name: etc
  emptyDir:
    sizeLimit: 1Mi
- name: gateway
  projected:
    # Group and mode: the key is refused if others may read it.
    defaultMode: 0440
    sources:
      - configMap:
          name: {{ include "ringway.gatewayConfigMap" . }}
      - configMap:
          name: {{ include "ringway.organizationConfigMap" $root }}
      - secret:
          name: {{ .gateway.secret }}
          items:
            - key: tls.crt
              path: gateway.crt
            - key: tls.key
              path: gateway.key
- name: members
  configMap:
    name: {{ include "ringway.membersConfigMap" $root }}
    defaultMode: 0444
- name: run
  hostPath:
    path: {{ include "ringway.runDirectory" $root }}
    type: DirectoryOrCreate
{{- end }}

{{- define "ringway.gatewayConfigMap" -}}
{{- $own := printf "%s-%s" (include "ringway.fullname" .root) .gateway.name -}}
{{- .gateway.existingConfigMap | default $own -}}
{{- end }}

{{/* The address of a gateway with a port. Takes address and port. */}}
{{- define "ringway.endpoint" -}}
{{- if contains ":" .address -}}
{{ printf "[%s]:%v" .address .port }}
{{- else -}}
{{ printf "%s:%v" .address .port }}
{{- end -}}
{{- end }}
