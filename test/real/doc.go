// Package real holds the tests on programs that nobody here wrote. `make real` runs it; it downloads packages from Debian and is
// no part of `make test`.
package real
