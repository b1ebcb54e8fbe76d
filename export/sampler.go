package export

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// SamplerKind says how a root span, one without a parent, is sampled.
type SamplerKind int

const (
	AlwaysOn  SamplerKind = iota // every root span
	AlwaysOff                    // no root span
	Ratio                        // a root span whose trace ID is below Sampler.Threshold
)

// Sampler is a sampling policy. It is a plain value, so that the kernel side can be given the same three numbers and decide
// alike. The zero value samples everything.
type Sampler struct {
	Root SamplerKind
	// ParentBased makes a span with a parent follow its parent's sampled flag.
	ParentBased bool
	// Threshold is the fraction times 2^63, used by Ratio only: a trace is sampled if the upper 63 bits of the last eight
	// bytes of its ID, read as a big-endian number, are less.
	//
	// Source: https://github.com/open-telemetry/opentelemetry-go/blob/v1.47.0/sdk/trace/sampling.go
	Threshold uint64
}

// SamplerFromEnv reads OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG. Without them it returns the specified default,
// parentbased_always_on. A value that is not allowed is an error that names the variable, the value and what is allowed.
func SamplerFromEnv(getenv func(string) string) (Sampler, error) {
	name := strings.ToLower(strings.TrimSpace(getenv("OTEL_TRACES_SAMPLER")))
	if name == "" {
		name = "parentbased_always_on"
	}
	root, parentBased := strings.CutPrefix(name, "parentbased_")
	s := Sampler{ParentBased: parentBased}
	switch root {
	case "always_on":
		s.Root = AlwaysOn
	case "always_off":
		s.Root = AlwaysOff
	case "traceidratio":
		fraction, err := samplerFraction(getenv)
		if err != nil {
			return Sampler{}, err
		}
		s.Root, s.Threshold = Ratio, uint64(fraction*(1<<63))
	default:
		return Sampler{}, fmt.Errorf("cannot use OTEL_TRACES_SAMPLER=%q (use always_on, always_off, traceidratio, "+
			"parentbased_always_on, parentbased_always_off or parentbased_traceidratio)", name)
	}
	return s, nil
}

// samplerFraction reads OTEL_TRACES_SAMPLER_ARG, a number from 0 to 1; absent it is 1, as specified.
func samplerFraction(getenv func(string) string) (float64, error) {
	arg := strings.TrimSpace(getenv("OTEL_TRACES_SAMPLER_ARG"))
	if arg == "" {
		return 1, nil
	}
	fraction, err := strconv.ParseFloat(arg, 64)
	// The negated range also refuses NaN.
	if err != nil || !(fraction >= 0 && fraction <= 1) {
		return 0, fmt.Errorf("cannot use OTEL_TRACES_SAMPLER_ARG=%q (use a number from 0 to 1)", arg)
	}
	return fraction, nil
}

// Sample reports whether a span is sampled. parent is the sampled flag of the span's parent, nil for a root span.
func (s Sampler) Sample(traceID [16]byte, parent *bool) bool {
	if s.ParentBased && parent != nil {
		return *parent
	}
	switch s.Root {
	case AlwaysOn:
		return true
	case Ratio:
		return binary.BigEndian.Uint64(traceID[8:])>>1 < s.Threshold
	default:
		return false
	}
}
