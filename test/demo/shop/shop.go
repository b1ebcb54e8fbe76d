package main

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

type product struct {
	ID    int     `json:"id"`
	Name  string  `json:"name"`
	Price float64 `json:"price"`
	Stock int     `json:"stock"`
}

type shop struct {
	mu       sync.Mutex
	products map[int]*product
	orders   int
}

var errPayment = errors.New("payment provider does not answer")

func newShop() *shop {
	s := &shop{products: map[int]*product{}}
	for i, name := range []string{"Anchor", "Barometer", "Compass", "Dinghy", "Echo sounder", "Fender", "Gimbal lamp", "Halyard"} {
		s.products[i+1] = &product{ID: i + 1, Name: name, Price: float64(20*i) + 9.9, Stock: 5 + 3*i}
	}
	return s
}

func (s *shop) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("GET /products", s.list)
	mux.HandleFunc("GET /products/{id}", s.item)
	mux.HandleFunc("GET /search", s.search)
	mux.HandleFunc("POST /checkout", s.checkout)
	mux.HandleFunc("GET /recommendations/{user}", s.recommend)
	return mux
}

func (s *shop) home(w http.ResponseWriter, r *http.Request) { w.Write([]byte("welcome aboard\n")) }

func (s *shop) list(w http.ResponseWriter, r *http.Request) {
	query(2 * time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]product, 0, len(s.products))
	for _, p := range s.products {
		all = append(all, *p)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].ID < all[j].ID })
	reply(w, http.StatusOK, all)
}

func (s *shop) item(w http.ResponseWriter, r *http.Request) {
	query(time.Millisecond)
	id, err := strconv.Atoi(r.PathValue("id"))
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.products[id]
	if err != nil || !ok {
		http.Error(w, "no such product", http.StatusNotFound)
		return
	}
	reply(w, http.StatusOK, p)
}

// search is slow: it has no index.
func (s *shop) search(w http.ResponseWriter, r *http.Request) {
	q := strings.ToLower(r.URL.Query().Get("q"))
	query(time.Duration(80+rand.IntN(150)) * time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	found := []product{}
	for _, p := range s.products {
		if strings.Contains(strings.ToLower(p.Name), q) {
			found = append(found, *p)
		}
	}
	reply(w, http.StatusOK, found)
}

// checkout fails for one order in four.
func (s *shop) checkout(w http.ResponseWriter, r *http.Request) {
	var order struct{ Product, Quantity int }
	if err := json.NewDecoder(r.Body).Decode(&order); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := s.pay(); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	reply(w, http.StatusCreated, map[string]int{"product": order.Product})
}

func (s *shop) pay() error {
	query(time.Duration(10+rand.IntN(30)) * time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.orders++
	if s.orders%4 == 0 {
		return errPayment
	}
	return nil
}

// recommend has a bug: nobody has bought anything with it yet.
func (s *shop) recommend(w http.ResponseWriter, r *http.Request) {
	query(3 * time.Millisecond)
	var history []int
	reply(w, http.StatusOK, history[len(r.PathValue("user"))])
}

// query stands for the time that a database takes.
func query(d time.Duration) { time.Sleep(d) }

func reply(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(v)
}
