// Package guest is what a virtual machine and its host must agree on.
package guest

// Job is the program that the guest runs.
type Job struct {
	Args []string
	Dir  string
	Env  []string
}

// Where things are. The kernel's parameter names a directory of the host with the three files.
const (
	JobParameter = "remora.job"
	JobFile      = "job.json"
	OutputFile   = "output"
	StatusFile   = "status"

	FilesTag = "host"     // the virtiofs of the host's files
	Root     = "/host"    // where init mounts it
	Modules  = "/modules" // in the initrd, loaded in the order of their names
)
