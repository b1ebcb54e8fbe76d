//go:build modernc

package main

import _ "modernc.org/sqlite" // two minutes of compiling, so not in every build
