// SPDX-License-Identifier: Apache-2.0

// Read a stream as the clients of the contract do: line by line, "data: " cut off, the
// rest unmarshalled into these structs. Usage: stream URL EVENTS
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
)

type model struct {
	ModelID            string `json:"model_id"`
	Port               int    `json:"port"`
	AllocatedVRAMBytes int64  `json:"allocated_vram_bytes"`
	UsedKVCacheBytes   int64  `json:"used_kv_cache_bytes"`
}

type snapshot struct {
	TotalVRAMBytes     int64   `json:"total_vram_bytes"`
	AllocatedVRAMBytes int64   `json:"allocated_vram_bytes"`
	UsedKVCacheBytes   int64   `json:"used_kv_cache_bytes"`
	PrefixCacheHitRate float64 `json:"prefix_cache_hit_rate"`
	Models             []model `json:"models"`
}

func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	os.Exit(1)
}

func main() {
	wanted, err := strconv.Atoi(os.Args[2])
	if err != nil {
		fail("%v", err)
	}
	response, err := http.Get(os.Args[1])
	if err != nil {
		fail("%v", err)
	}
	if response.StatusCode != 200 {
		fail("status %d", response.StatusCode)
	}
	lines := bufio.NewScanner(response.Body)
	for seen := 0; seen < wanted && lines.Scan(); {
		line := lines.Text()
		if !strings.HasPrefix(line, "data: ") {
			continue
		}
		var s snapshot
		decoder := json.NewDecoder(bytes.NewReader([]byte(line[len("data: "):])))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&s); err != nil {
			fail("%v in %q", err, line)
		}
		if s.Models == nil {
			fail("models is null in %q", line)
		}
		again, _ := json.Marshal(s)
		fmt.Println(string(again))
		seen++
	}
	if err := lines.Err(); err != nil {
		fail("%v", err)
	}
}
