package export

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
)

// text returns a resource's attributes as "key=value" in their order.
func text(r *resourcepb.Resource) []string {
	var lines []string
	for _, kv := range r.Attributes {
		lines = append(lines, kv.Key+"="+attribute(r.Attributes, kv.Key))
	}
	return lines
}

func testIdentity() Identity {
	return Identity{
		PID: 42, StartTime: time.Unix(1_700_000_000, 123), ExecutablePath: "/srv/bin/shop (deleted)", Command: "/srv/bin/shop",
		GoVersion: "go1.26.8", ModulePath: "example.com/shop", ModuleVersion: "v1.2.3",
		ContainerID: "c0ffee", HostName: "node-1",
	}
}

func TestResourceWhole(t *testing.T) {
	got := text(Resource(testIdentity(), envOf(nil), "0.1.0"))
	want := []string{
		"container.id=c0ffee",
		"host.name=node-1",
		"os.type=linux",
		"process.command=/srv/bin/shop",
		"process.executable.name=shop",
		"process.executable.path=/srv/bin/shop",
		"process.pid=42",
		"process.runtime.name=go",
		"process.runtime.version=go1.26.8",
		"service.instance.id=" + instanceID(testIdentity()),
		"service.name=shop",
		"service.version=v1.2.3",
		"telemetry.distro.name=remora",
		"telemetry.distro.version=0.1.0",
		"telemetry.sdk.language=go",
		"telemetry.sdk.name=remora",
		"telemetry.sdk.version=0.1.0",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("resource (-want +got):\n%s", diff)
	}
}

func TestResourcePrecedence(t *testing.T) {
	const name, attributes = "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"
	tests := []struct {
		about         string
		target, agent map[string]string
		modify        func(*Identity)
		want          string // space-separated key=value that must be there; a key alone must not
	}{
		{"executable", nil, nil, nil, "service.name=shop"},
		{"agent's attributes", nil, map[string]string{attributes: "service.name=a,team=x"}, nil, "service.name=a team=x"},
		{"agent's name before its attributes", nil, map[string]string{name: "b", attributes: "service.name=a"}, nil, "service.name=b"},
		{"target's attributes before agent's name", map[string]string{attributes: "service.name=c,team=y"},
			map[string]string{name: "b", attributes: "team=x,env=prod"}, nil, "service.name=c team=y env=prod"},
		{"target's name before all", map[string]string{name: " d ", attributes: "service.name=c"}, map[string]string{name: "b"}, nil,
			"service.name=d"},
		{"target's version before its module's", map[string]string{attributes: "service.version=9"}, nil, nil, "service.version=9"},
		{"percent-decoded", map[string]string{attributes: " team = a%2Cb%3Dc "}, nil, nil, "team=a,b=c"},
		{"malformed is ignored whole", map[string]string{attributes: "service.name=c,team"}, nil, nil, "service.name=shop team"},
		{"development build", nil, nil, func(id *Identity) { id.ModuleVersion = "(devel)" }, "service.version"},
		{"pid by hand", map[string]string{attributes: "process.pid=7"}, nil, nil, "process.pid=7"},
		{"nothing known", nil, nil, func(id *Identity) { *id = Identity{} }, "process.pid service.name container.id host.name"},
		{"not UTF-8", nil, nil, func(id *Identity) { id.ExecutablePath = "/a\xff" }, "service.name=a\uFFFD"},
	}
	for _, tt := range tests {
		t.Run(tt.about, func(t *testing.T) {
			id := testIdentity()
			id.Env = tt.target
			if tt.modify != nil {
				tt.modify(&id)
			}
			r := Resource(id, envOf(tt.agent), "0.1.0")
			for _, field := range strings.Fields(tt.want) {
				key, want, _ := strings.Cut(field, "=")
				if got := attribute(r.Attributes, key); got != want {
					t.Errorf("%s = %q, want %q", key, got, want)
				}
			}
			keys := text(r)
			for i := range keys[1:] {
				if strings.Split(keys[i], "=")[0] >= strings.Split(keys[i+1], "=")[0] {
					t.Errorf("not sorted: %q before %q", keys[i], keys[i+1])
				}
			}
		})
	}
}

func TestInstanceID(t *testing.T) {
	first := instanceID(testIdentity())
	// RFC 9562: version 5, variant 10.
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(first) {
		t.Errorf("%s is no UUID of version 5", first)
	}
	if again := instanceID(testIdentity()); again != first {
		t.Errorf("%s, and then %s", first, again)
	}
	for _, change := range []func(*Identity){
		func(id *Identity) { id.PID++ },
		func(id *Identity) { id.StartTime = id.StartTime.Add(time.Nanosecond) },
		func(id *Identity) { id.HostName = "node-2" },
	} {
		id := testIdentity()
		change(&id)
		if instanceID(id) == first {
			t.Errorf("same ID for %+v", id)
		}
	}
}

func TestParseResourceAttributes(t *testing.T) {
	tests := []struct {
		value string
		want  map[string]string
		err   string
	}{
		{"", map[string]string{}, ""},
		{"a=1, b = 2 ,", map[string]string{"a": "1", "b": "2"}, ""},
		{"a=b=c,empty=,k%2C=%25", map[string]string{"a": "b=c", "empty": "", "k,": "%"}, ""},
		{"a=1,b", nil, `bad pair "b"`},
		{"=1", nil, `bad pair "=1"`},
		{"a=%zz", nil, `bad pair "a=%zz"`},
	}
	for _, tt := range tests {
		got, err := ParseResourceAttributes(tt.value)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.value, diff)
		}
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%q: error %v, want %q", tt.value, err, tt.err)
		}
	}
}
