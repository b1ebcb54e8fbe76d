package vm

import (
	"bytes"
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestArchive(t *testing.T) {
	cpio, err := exec.LookPath("cpio")
	if err != nil {
		t.Skip("needs cpio: reads the archive with it")
	}
	var a archive
	a.addDir("dir")
	a.addFile("dir/odd", 0o755, []byte("12345"))
	a.addFile("dir/empty", 0o644, nil)
	cmd := exec.Command(cpio, "-t", "--quiet")
	cmd.Stdin = bytes.NewReader(a.bytes())
	out, err := cmd.CombinedOutput()
	if diff := cmp.Diff("dir\ndir/odd\ndir/empty\n", string(out)); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
