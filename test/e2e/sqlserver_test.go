package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/remora-agent/remora/internal/testenv"
)

// nobody is the user and the group that database servers run as: they refuse to be root.
const nobody = 65534

// A sqlServer is a running database server, on a port of the loopback interface and on a socket.
type sqlServer struct {
	port   string
	socket string // PostgreSQL: the directory; MariaDB: the file
	end    syscall.Signal
	cmd    *exec.Cmd
	done   chan struct{}
}

// startPostgres starts a PostgreSQL with the databases postgres and trust in everybody.
func startPostgres(t *testing.T) *sqlServer {
	t.Helper()
	bin := newestOf(t, "/usr/lib/postgresql/*/bin", "postgresql")
	dir := serverDir(t)
	asNobody(t, filepath.Join(bin, "initdb"), "--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--pgdata="+dir+"/data")
	s := &sqlServer{port: portOf(testenv.FreeAddr(t)), socket: dir, end: syscall.SIGQUIT} // which leaves no shared memory behind
	ready := func() bool {
		text, _ := os.ReadFile(dir + "/data/postmaster.pid")
		return strings.Contains(string(text), "ready")
	}
	s.start(t, dir, ready, filepath.Join(bin, "postgres"), "-D", dir+"/data", "-k", dir, "-h", "127.0.0.1", "-p", s.port,
		"-c", "fsync=off", "-c", "deadlock_timeout=100ms", "-c", "max_connections=100", "-c", "shared_buffers=16MB")
	return s
}

// startMariaDB starts a MariaDB that asks nobody who he is: without the tables for it, which its installation makes.
func startMariaDB(t *testing.T) *sqlServer {
	t.Helper()
	server := newestOf(t, "/usr/sbin/mariadbd", "mariadb-server-core")
	dir := serverDir(t)
	asNobody(t, "mkdir", dir+"/test") // a database is a directory
	s := &sqlServer{port: portOf(testenv.FreeAddr(t)), socket: filepath.Join(dir, "socket"), end: syscall.SIGKILL}
	ready := func() bool {
		conn, err := net.Dial("tcp", "127.0.0.1:"+s.port)
		return err == nil && conn.Close() == nil
	}
	s.start(t, dir, ready, server, "--no-defaults", "--skip-grant-tables", "--datadir="+dir, "--socket="+s.socket, "--bind-address=127.0.0.1", "--port="+s.port,
		"--skip-name-resolve", "--innodb-buffer-pool-size=16M", "--innodb-flush-log-at-trx-commit=0", "--skip-log-bin", "--pid-file="+dir+"/pid")
	return s
}

// newestOf returns the last path of a pattern.
func newestOf(t *testing.T, pattern, debianPackage string) string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		t.Fatalf("no %s (make packages installs Debian's %s)", pattern, debianPackage)
	}
	return found[len(found)-1]
}

// serverDir returns a directory of nobody's, with a name that is short enough for a socket.
func serverDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "remora-sql-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	return dir
}

// serverCommand is a command as nobody, in a process group of its own that ends with this process.
func serverCommand(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = "/tmp"
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "HOME=/tmp"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, Pdeathsig: syscall.SIGKILL, Setpgid: true}
	return cmd
}

func asNobody(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := serverCommand(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// start runs the server until the test ends, and waits until it is ready.
func (s *sqlServer) start(t *testing.T, dir string, ready func() bool, name string, args ...string) {
	t.Helper()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	s.cmd, s.done = serverCommand(name, args...), make(chan struct{})
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.cmd.Wait(); close(s.done) }()
	t.Cleanup(s.kill)
	testenv.Eventually(t, 30*time.Second, name+" serves", func() bool {
		select {
		case <-s.done:
			text, _ := os.ReadFile(log.Name())
			t.Fatalf("%s ended:\n%s", name, text)
		default:
		}
		return ready()
	})
}

// kill ends the server at once, whatever it is doing for its clients.
func (s *sqlServer) kill() {
	s.cmd.Process.Signal(s.end)
	<-s.done
}

// A sqlTarget is a database as one driver of the fixture sees it.
type sqlTarget struct {
	driver string
	source string // the data source name
	system string // db.system.name, and what else its spans have
	space  string
	addr   string
	port   string
	server *sqlServer // nil: none
	old    bool       // the driver is one of old.mod
}

func (s *sqlServer) postgres(driver string) sqlTarget {
	return sqlTarget{
		driver: driver, source: "postgres://postgres:hunter2@127.0.0.1:" + s.port + "/postgres?sslmode=disable",
		system: "postgresql", space: "postgres", addr: "127.0.0.1", port: s.port, server: s,
	}
}

func (s *sqlServer) mysql() sqlTarget {
	return sqlTarget{
		driver: "mysql", source: "root:@tcp(127.0.0.1:" + s.port + ")/test?interpolateParams=false",
		system: "mysql", space: "test", addr: "127.0.0.1", port: s.port, server: s,
	}
}

// sqlite is a database in a file of the test's.
func sqlite(t *testing.T, driver string) sqlTarget {
	file := filepath.Join(t.TempDir(), "test.db")
	return sqlTarget{driver: driver, source: file, system: "sqlite", space: file}
}

func fake(source string) sqlTarget {
	return sqlTarget{driver: "fake", source: source, system: "other_sql"}
}

// text writes a query's parameters as the driver wants them.
func (d sqlTarget) text(query string) string {
	if d.system != "postgresql" {
		return query
	}
	parts := strings.Split(query, "?")
	for i := range parts[1:] {
		parts[i] += fmt.Sprint("$", i+1)
	}
	return strings.Join(parts, "")
}

// bySocket is the same database by the server's socket.
func (d sqlTarget) bySocket() sqlTarget {
	d.source = "root@unix(" + d.server.socket + ")/test"
	if d.system == "postgresql" {
		d.source = fmt.Sprintf("host=%s port=%s user=postgres dbname=postgres sslmode=disable", d.server.socket, d.port)
	}
	d.addr, d.port = d.server.socket, ""
	return d
}
