package testenv

import (
	"os"
	"strconv"
	"time"
)

// PatienceVariable is the environment variable with the factor by which every wait of a test is longer: an emulated machine
// (test/kernel) is many times slower than a real one. Unset is 1.
const PatienceVariable = "REMORA_TEST_PATIENCE"

// Patient returns how long a test waits, on this machine, for what should happen within d. Use it for limits that this
// package's own waits (Eventually, Within, Sink.Wait, …) do not know of, such as an HTTP client's timeout.
func Patient(d time.Duration) time.Duration {
	factor, err := strconv.Atoi(os.Getenv(PatienceVariable))
	if err != nil || factor < 1 {
		return d
	}
	return d * time.Duration(factor)
}
