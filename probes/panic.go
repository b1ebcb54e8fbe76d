package probes

import (
	"fmt"
	"strings"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/remora-agent/remora/bpf"
)

// PanicConstants are what bpf/include/panic.h must know.
func PanicConstants() []Constant {
	return []Constant{
		{Name: bpf.VarGPanic, Of: Field{"runtime.g", "_panic"}},
		{Name: bpf.VarPanicArg, Of: Field{"runtime._panic", "arg"}},
		{Name: bpf.VarPanicGoexit, Of: Field{"runtime._panic", "goexit"}},
		{Name: bpf.VarTextTypes, Of: Types(textTypes()), Optional: true},
		{Name: bpf.VarBoundsTypes, Of: Types{boundsError}, Optional: true},
		{Name: bpf.VarBoundsX, Of: Field{boundsError, "x"}, Optional: true},
		{Name: bpf.VarBoundsY, Of: Field{boundsError, "y"}, Optional: true},
		{Name: bpf.VarBoundsSigned, Of: Field{boundsError, "signed"}, Optional: true},
		{Name: bpf.VarBoundsCode, Of: Field{boundsError, "code"}, Optional: true},
	}
}

const boundsError = "runtime.boundsError"

// textTypes are types of panic values that are a string or point to a struct that begins with one.
func textTypes() []string {
	return []string{
		"string", "*errors.errorString", "*fmt.wrapError", "*fmt.wrapErrors",
		"runtime.errorString", "runtime.plainError", "runtime.errorAddressString",
	}
}

// Panic is what was read of a panic.
type Panic struct {
	Type   string // of its value, "" if that is nil
	Text   string // of a value of one of textTypes
	Bounds *Bounds
}

// Bounds is a runtime.boundsError: https://github.com/golang/go/blob/go1.26.0/src/runtime/error.go
type Bounds struct {
	X, Y   int64
	Signed bool
	Code   uint8
}

// Message is what the value's Error method says, as far as it is known.
func (p Panic) Message() string {
	switch p.Type {
	case boundsError:
		if p.Bounds != nil {
			return p.Bounds.message()
		}
	case "runtime.errorString", "runtime.errorAddressString":
		if p.Text != "" {
			return "runtime error: " + p.Text
		}
	}
	return p.Text
}

// Exception is the event of a span that a panic has ended:
// https://opentelemetry.io/docs/specs/semconv/exceptions/exceptions-spans/
func (p Panic) Exception(at uint64) *tracepb.Span_Event {
	name := p.Type
	if name == "" {
		name = "nil"
	}
	e := &tracepb.Span_Event{Name: "exception", TimeUnixNano: at, Attributes: []*commonpb.KeyValue{
		Attribute(string(semconv.ExceptionTypeKey), name),
	}}
	if message := p.Message(); message != "" {
		e.Attributes = append(e.Attributes, Attribute(string(semconv.ExceptionMessageKey), message))
	}
	return e
}

// message says which index was out of which range, in the runtime's words.
func (b Bounds) message() string {
	formats := []struct{ text, negative string }{
		{"index out of range [%x] with length %y", "index out of range [%x]"},
		{"slice bounds out of range [:%x] with length %y", "slice bounds out of range [:%x]"},
		{"slice bounds out of range [:%x] with capacity %y", "slice bounds out of range [:%x]"},
		{"slice bounds out of range [%x:%y]", "slice bounds out of range [%x:]"},
		{"slice bounds out of range [::%x] with length %y", "slice bounds out of range [::%x]"},
		{"slice bounds out of range [::%x] with capacity %y", "slice bounds out of range [::%x]"},
		{"slice bounds out of range [:%x:%y]", "slice bounds out of range [:%x:]"},
		{"slice bounds out of range [%x:%y:]", "slice bounds out of range [%x::]"},
		{"cannot convert slice with length %y to array or pointer to array with length %x", ""},
	}
	if int(b.Code) >= len(formats) {
		return ""
	}
	x, format := fmt.Sprint(uint64(b.X)), formats[b.Code].text
	if b.Signed {
		x = fmt.Sprint(b.X)
		if b.X < 0 {
			format = formats[b.Code].negative
		}
	}
	return "runtime error: " + strings.NewReplacer("%x", x, "%y", fmt.Sprint(b.Y)).Replace(format)
}
