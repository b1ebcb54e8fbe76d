// Package promtext reads the text pages that Prometheus scrapes, as far as tests, demo and benchmark need them.
package promtext

import (
	"bufio"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Series is one line of a Prometheus text page.
type Series struct {
	Name   string
	Labels map[string]string
	Value  float64
}

// Page is all series of a process.
type Page []Series

// Read fetches the page at url.
func Read(url string) (Page, error) {
	resp, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	var page Page
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		s, ok, err := parse(lines.Text())
		if err != nil {
			return nil, err
		}
		if ok {
			page = append(page, s)
		}
	}
	return page, lines.Err()
}

// parse reads `name{label="value",…} 1.5`; ok is false for comments and blank lines.
func parse(line string) (s Series, ok bool, err error) {
	if line == "" || line[0] == '#' {
		return Series{}, false, nil
	}
	bad := fmt.Errorf("not a metric: %q", line)
	end := strings.LastIndexByte(line, ' ')
	if end < 0 {
		return Series{}, false, bad
	}
	s.Value, err = strconv.ParseFloat(line[end+1:], 64)
	if err != nil {
		return Series{}, false, bad
	}
	name, labels, found := strings.Cut(line[:end], "{")
	s.Name = name
	s.Labels = map[string]string{}
	if !found {
		return s, true, nil
	}
	for labels != "}" {
		key, rest, cut := strings.Cut(labels, "=")
		if !cut {
			return Series{}, false, bad
		}
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return Series{}, false, bad
		}
		value, err := strconv.Unquote(quoted)
		if err != nil {
			return Series{}, false, bad
		}
		s.Labels[key] = value
		labels = strings.TrimPrefix(rest[len(quoted):], ",")
	}
	return s, true, nil
}

// Sum adds up the series of a name that have the given labels, each written as `key=value`.
func (p Page) Sum(name string, labels ...string) float64 {
	sum := 0.0
	for _, s := range p {
		if s.Name == name && s.has(labels) {
			sum += s.Value
		}
	}
	return sum
}

func (s Series) has(labels []string) bool {
	for _, l := range labels {
		key, value, _ := strings.Cut(l, "=")
		if s.Labels[key] != value {
			return false
		}
	}
	return true
}
