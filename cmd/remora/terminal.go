package main

import (
	"os"
	"time"

	"go.uber.org/zap/zapcore"
	"golang.org/x/term"
)

func terminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

func zapTime(t time.Time, enc zapcore.PrimitiveArrayEncoder) {
	enc.AppendString(t.UTC().Format("2006-01-02T15:04:05.000Z"))
}

// color says whether to use colours: on a terminal, unless NO_COLOR is set (https://no-color.org).
func color(f *os.File) bool { return terminal(f) && os.Getenv("NO_COLOR") == "" }
