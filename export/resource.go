package export

import (
	"crypto/sha1"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
)

// product names this program in telemetry.sdk.name and telemetry.distro.name. The name "opentelemetry" is reserved for the
// project's own SDKs: https://opentelemetry.io/docs/specs/semconv/resource/#telemetry-sdk
const product = "remora"

// Identity is what is known of a traced process. Empty fields are left out of the resource.
type Identity struct {
	PID            int
	StartTime      time.Time         // tells it from a later process of this PID; must not shift when the wall clock is set
	ExecutablePath string            // as /proc/PID/exe reads; a trailing " (deleted)" is stripped
	Command        string            // first argument of the command line; "" if it is not known
	Env            map[string]string // the process's own OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES
	GoVersion      string            // as runtime.Version returns it in the process: "go1.26.8"
	ModulePath     string            // path of the main module; no convention has an attribute for it
	ModuleVersion  string            // version of the main module; "(devel)" says nothing and is left out
	ContainerID    string
	HostName       string
}

// Resource describes the process to the readers of its spans, attributes sorted by key. What the process's own environment
// says goes before what the agent's environment (getenv) says, and that before what was detected; in each environment
// OTEL_SERVICE_NAME goes before a service.name in OTEL_RESOURCE_ATTRIBUTES. A malformed OTEL_RESOURCE_ATTRIBUTES is ignored
// as specified; use [ParseResourceAttributes] to report it.
func Resource(id Identity, getenv func(string) string, distroVersion string) *resourcepb.Resource {
	text := detected(id, distroVersion)
	targetEnv := func(name string) string { return id.Env[name] }
	for _, env := range []func(string) string{getenv, targetEnv} {
		// The error is for the agent to report, once, with the variable's owner; what can be used is used.
		attributes, _ := ParseResourceAttributes(env("OTEL_RESOURCE_ATTRIBUTES"))
		maps.Copy(text, attributes)
		if name := strings.TrimSpace(env("OTEL_SERVICE_NAME")); name != "" {
			text[string(semconv.ServiceNameKey)] = name
		}
	}

	r := &resourcepb.Resource{}
	for _, key := range slices.Sorted(maps.Keys(text)) {
		if text[key] != "" {
			r.Attributes = append(r.Attributes, stringAttribute(key, text[key]))
		}
	}
	if key := string(semconv.ProcessPIDKey); id.PID != 0 && text[key] == "" {
		at, _ := slices.BinarySearchFunc(r.Attributes, key, func(kv *commonpb.KeyValue, key string) int {
			return strings.Compare(kv.Key, key)
		})
		r.Attributes = slices.Insert(r.Attributes, at, intAttribute(key, int64(id.PID)))
	}
	return r
}

// detected returns the text attributes that need no environment; empty values are left out by the caller.
func detected(id Identity, distroVersion string) map[string]string {
	path := strings.TrimSuffix(id.ExecutablePath, " (deleted)")
	name := ""
	if path != "" {
		name = filepath.Base(path)
	}
	version := id.ModuleVersion
	if version == "(devel)" {
		version = ""
	}
	return map[string]string{
		string(semconv.ServiceNameKey):            name,
		string(semconv.ServiceVersionKey):         version,
		string(semconv.ServiceInstanceIDKey):      instanceID(id),
		string(semconv.ProcessExecutableNameKey):  name,
		string(semconv.ProcessExecutablePathKey):  path,
		string(semconv.ProcessCommandKey):         id.Command,
		string(semconv.ProcessRuntimeNameKey):     "go",
		string(semconv.ProcessRuntimeVersionKey):  id.GoVersion,
		string(semconv.HostNameKey):               id.HostName,
		string(semconv.OSTypeKey):                 "linux",
		string(semconv.ContainerIDKey):            id.ContainerID,
		string(semconv.TelemetrySDKLanguageKey):   "go",
		string(semconv.TelemetrySDKNameKey):       product,
		string(semconv.TelemetrySDKVersionKey):    distroVersion,
		string(semconv.TelemetryDistroNameKey):    product,
		string(semconv.TelemetryDistroVersionKey): distroVersion,
	}
}

// instanceNamespace is the UUID namespace that OpenTelemetry defines for service.instance.id,
// 4d63009a-8d0f-11ee-aad7-4c796ed8e320: https://opentelemetry.io/docs/specs/semconv/registry/attributes/service/
const instanceNamespace = "\x4d\x63\x00\x9a\x8d\x0f\x11\xee\xaa\xd7\x4c\x79\x6e\xd8\xe3\x20"

// instanceID returns a version 5 UUID (RFC 9562, section 5.5) that stays the same for the life of one process and differs
// for every other process, also after a restart of the agent.
func instanceID(id Identity) string {
	u := sha1.Sum(fmt.Appendf(nil, "%s%s\x00%s\x00%d\x00%d",
		instanceNamespace, id.HostName, id.ContainerID, id.PID, id.StartTime.UnixNano()))
	u[6] = u[6]&0x0f | 0x50
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:16])
}

// ParseResourceAttributes parses a value of OTEL_RESOURCE_ATTRIBUTES: key=value pairs separated by commas, keys and values
// percent-encoded. As specified, one malformed pair discards them all: the map is then nil and the error names the pair.
//
// Source: https://opentelemetry.io/docs/specs/otel/resource/sdk/#specifying-resource-information-via-an-environment-variable
func ParseResourceAttributes(value string) (map[string]string, error) {
	attributes := make(map[string]string)
	for pair := range strings.SplitSeq(value, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		k, v, found := strings.Cut(pair, "=")
		key, keyErr := url.PathUnescape(strings.TrimSpace(k))
		val, valErr := url.PathUnescape(strings.TrimSpace(v))
		if !found || key == "" || keyErr != nil || valErr != nil {
			return nil, fmt.Errorf("cannot use OTEL_RESOURCE_ATTRIBUTES: bad pair %q (use key=value,key=value with "+
				"\",\", \"=\" and \"%%\" percent-encoded)", pair)
		}
		attributes[key] = val
	}
	return attributes, nil
}

func stringAttribute(key, value string) *commonpb.KeyValue {
	// Protobuf strings are UTF-8; a path need not be, and one bad string would make the whole batch unmarshallable.
	value = strings.ToValidUTF8(value, "\uFFFD")
	key = strings.ToValidUTF8(key, "\uFFFD")
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: value}}}
}

func intAttribute(key string, value int64) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: value}}}
}
