// Sqlclient is the target of the end-to-end tests of database/sql: a server whose handlers use a database in every way.
// It must build with Go 1.18.
package main

import (
	"database/sql"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync"
)

func main() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening plain", l.Addr())
	http.HandleFunc("/call", call)
	http.HandleFunc("/shared", shared)
	fmt.Println("ready")
	log.Fatal(http.Serve(l, nil))
}

// call uses a database of its own in the way that the query asks for, and answers what came of it.
func call(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	way, ok := ways[q.Get("how")]
	if !ok {
		http.Error(w, "no such way", http.StatusNotFound)
		return
	}
	db, err := sql.Open(q.Get("driver"), q.Get("dsn"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	defer db.Close()
	db.SetMaxIdleConns(10)
	if err := way(&caller{r.Context(), db, q.Get("driver")}); err != nil {
		fmt.Fprint(w, "error: ", err)
		return
	}
	fmt.Fprint(w, "ok")
}

// pool is a database that many requests share.
var pool struct {
	once sync.Once
	db   *sql.DB
	err  error
}

// shared asks the shared database for a table whose name the query has.
func shared(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	pool.once.Do(func() {
		pool.db, pool.err = sql.Open(q.Get("driver"), q.Get("dsn"))
		if pool.err == nil {
			pool.db.SetMaxOpenConns(32)
			pool.db.SetMaxIdleConns(32)
		}
	})
	err := pool.err
	if err == nil {
		err = drain(pool.db.QueryContext(r.Context(), "SELECT 'n' AS x FROM songs AS "+q.Get("name")))
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}
