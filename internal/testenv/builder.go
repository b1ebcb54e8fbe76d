package testenv

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// BuildsVariable is the environment variable with the directory in which Build asks ServeBuilds for a program that is not in
// the cache: a virtual machine would compile for minutes what its host compiles in seconds.
const BuildsVariable = "REMORA_TEST_BUILDS"

// In the directory, a request is a file NAME.request, and its answer NAME.answer: the error's text, empty when there is none.
const (
	requestSuffix = ".request"
	answerSuffix  = ".answer"
)

// buildRequest is what Build asks for.
type buildRequest struct {
	Spec BuildSpec // its Dir is absolute
	Path string    // of the program to be
}

// ServeBuilds answers the requests in dir until the test ends.
func ServeBuilds(t testing.TB, dir string) {
	t.Helper()
	end, ended := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(end); <-ended })
	go func() {
		defer close(ended)
		for {
			select {
			case <-end:
				return
			case <-time.After(100 * time.Millisecond):
				if err := answerRequests(dir); err != nil {
					t.Errorf("serve builds: %v", err)
					return
				}
			}
		}
	}()
}

func answerRequests(dir string) error {
	requests, err := filepath.Glob(filepath.Join(dir, "*"+requestSuffix))
	if err != nil {
		return err
	}
	for _, path := range requests {
		var r buildRequest
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(text, &r); err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		answer := ""
		if err := r.Spec.buildOnce(r.Path); err != nil {
			answer = err.Error()
		}
		if err := publish(strings.TrimSuffix(path, requestSuffix)+answerSuffix, []byte(answer)); err != nil {
			return err
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// requestBuild has the program built by whoever serves dir.
func requestBuild(dir string, r buildRequest) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	name := filepath.Join(dir, filepath.Base(filepath.Dir(r.Path)))
	if err := publish(name+requestSuffix, text); err != nil {
		return err
	}
	var answer []byte
	answered := Within(time.Minute, func() bool {
		answer, err = os.ReadFile(name + answerSuffix)
		return err == nil
	})
	if !answered {
		return fmt.Errorf("nobody built %s for the requests in %s", r.Spec, dir)
	}
	if len(answer) > 0 {
		return errors.New(string(answer))
	}
	return nil
}

// publish writes a file that is never seen half written.
func publish(path string, data []byte) error {
	if err := os.WriteFile(path+".tmp", data, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}
