// Package export sends finished spans to where people read them: an OTLP receiver, the terminal, or both.
//
// Spans arrive as OTLP protobuf messages and leave as the same messages: there is no second span model. The package also
// holds what every span needs on its way out: the resource that names the traced process ([Resource]), the conversion of
// kernel time stamps ([Clock]) and the sampling policy ([Sampler]).
//
// All settings come from the OpenTelemetry environment variables; docs/configuration.md lists them. Nothing here logs: what
// goes wrong is returned, or handed to the callback given with [OnExport].
package export
