#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Print a line for each event of a daemon: follow.py [URL]

A stream that breaks, or says nothing for 15 s, is asked for again.
"""
import http.client
import json
import sys
import time
import urllib.request


def follow(url):
    with urllib.request.urlopen(url, timeout=15) as stream:
        for line in stream:
            if line.startswith(b"data: "):
                yield json.loads(line[len(b"data: "):])
    raise ConnectionError("the stream has ended")


def main():
    url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:6767"
    while True:
        try:
            for event in follow(url + "/vram/stream"):
                print(f"allocated={event['allocated_vram_bytes']}",
                      f"kv={event['used_kv_cache_bytes']}",
                      f"hit={event['prefix_cache_hit_rate']}",
                      *(f"{model['model_id']}:{model['port']}={model['used_kv_cache_bytes']}"
                        for model in event["models"]), flush=True)
        except (OSError, http.client.HTTPException) as error:
            print(f"{error}: again in 2 s", file=sys.stderr)
            time.sleep(2)


main()
