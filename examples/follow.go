// SPDX-License-Identifier: Apache-2.0
// Print a line for each event of a daemon, and ask again when it breaks: follow [URL]
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"
)

type figures struct { // of an event, and of each of its models
	ID      string `json:"model_id"`
	Port    int
	KVUsed  int64   `json:"used_kv_cache_bytes"`
	HitRate float64 `json:"prefix_cache_hit_rate"`
	VRAM    int64   `json:"allocated_vram_bytes"`
	Models  []figures
}

func main() {
	for url := append(os.Args, "http://127.0.0.1:6767")[1]; ; time.Sleep(2 * time.Second) {
		if response, err := http.Get(url + "/vram/stream"); err != nil {
			fmt.Fprintln(os.Stderr, err)
		} else {
			for lines := bufio.NewScanner(response.Body); lines.Scan(); {
				var event figures
				if line := lines.Bytes(); len(line) > 6 && json.Unmarshal(line[6:], &event) == nil {
					fmt.Printf("allocated=%d kv=%d hit=%v", event.VRAM, event.KVUsed, event.HitRate)
					for _, model := range event.Models {
						fmt.Printf(" %s:%d=%d", model.ID, model.Port, model.KVUsed)
					}
					fmt.Println()
				}
			}
		}
	}
}
