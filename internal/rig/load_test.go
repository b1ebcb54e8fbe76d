package rig

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestLoadCounts(t *testing.T) {
	var served atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		io.WriteString(w, "ok")
	}))
	defer s.Close()
	n, took, err := Load(strings.TrimPrefix(s.URL, "http://"), "/", 3, 50*time.Millisecond)
	if err != nil || took < 50*time.Millisecond {
		t.Errorf("took %v, error %v", took, err)
	}
	if got := served.Load(); got < int64(n) || got > int64(n)+3*(1+depth) { // for each connection, a first request and those without their answers
		t.Errorf("counted %d, served %d", n, got)
	}
}

func TestLoadFails(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	if _, _, err := Load(strings.TrimPrefix(s.URL, "http://"), "/", 1, time.Millisecond); err == nil {
		t.Error("no error although every answer is a 404")
	}
}
