// SPDX-License-Identifier: Apache-2.0
// Print a line for each event of a daemon, and ask again when it breaks: follow [URL]
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

type figures struct { // of an event, and of each of its models
	ID      string `json:"model_id"`
	Port    int
	KVUsed  int64   `json:"used_kv_cache_bytes"`
	HitRate float64 `json:"prefix_cache_hit_rate"`
	Models  []figures
	VRAM    int64 `json:"allocated_vram_bytes"`
}

func follow(url string) error {
	response, err := http.Get(url)
	if err != nil {
		return err
	}
	silence := time.AfterFunc(15*time.Second, func() { response.Body.Close() })
	for lines := bufio.NewScanner(response.Body); lines.Scan(); silence.Reset(15 * time.Second) {
		event, data := figures{}, strings.TrimPrefix(lines.Text(), "data: ")
		if json.Unmarshal([]byte(data), &event) != nil {
			continue // a comment, or the empty line after an event
		}
		fmt.Printf("allocated=%d kv=%d hit=%v", event.VRAM, event.KVUsed, event.HitRate)
		for _, model := range event.Models {
			fmt.Printf(" %s:%d=%d", model.ID, model.Port, model.KVUsed)
		}
		fmt.Println()
	}
	return fmt.Errorf("the stream has ended (%s)", response.Status)
}

func main() {
	for url := append(os.Args, "http://127.0.0.1:6767")[1]; ; time.Sleep(2 * time.Second) {
		fmt.Fprintln(os.Stderr, follow(url+"/vram/stream"))
	}
}
