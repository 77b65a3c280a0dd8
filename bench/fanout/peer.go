// SPDX-License-Identifier: Apache-2.0

// Server-Sent Events as one writes them with net/http: a goroutine and a channel for each
// subscriber, a flush after each event.
// Usage: peer PORT BYTES INTERVAL_MS PHASE_MS
package main

import (
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

type hub struct {
	lock        sync.Mutex
	subscribers map[chan []byte]struct{}
}

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	events := make(chan []byte, 1)
	h.lock.Lock()
	h.subscribers[events] = struct{}{}
	h.lock.Unlock()
	defer func() {
		h.lock.Lock()
		delete(h.subscribers, events)
		h.lock.Unlock()
	}()

	w.Header().Set("Content-Type", "text/event-stream")
	flusher := w.(http.Flusher)
	flusher.Flush()
	for {
		select {
		case <-r.Context().Done():
			return
		case event := <-events:
			if _, err := w.Write(event); err != nil {
				return
			}
			flusher.Flush()
		}
	}
}

func (h *hub) send(event []byte) {
	h.lock.Lock()
	defer h.lock.Unlock()
	for subscriber := range h.subscribers {
		select {
		case subscriber <- event:
		default: // it still has the one before
		}
	}
}

func number(at int) int {
	value, err := strconv.Atoi(os.Args[at])
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	const begin, end = "data: {\"pad\":\"", "\"}\n\n"
	h := &hub{subscribers: map[chan []byte]struct{}{}}
	interval := time.Duration(number(3)) * time.Millisecond
	phase := time.Duration(number(4)) * time.Millisecond
	event := []byte(begin + strings.Repeat("x", number(2)-len(begin)-len(end)) + end)

	go func() {
		time.Sleep(time.Until(time.Now().Truncate(interval).Add(interval + phase)))
		for range time.Tick(interval) {
			h.send(event)
		}
	}()
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], h))
}
