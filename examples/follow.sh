#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Print a line for each event of a daemon, with curl and jq: follow.sh [URL]
# A stream that breaks, or says nothing for 15 s, is asked for again.
url=${1:-http://127.0.0.1:6767}

while :; do
    curl -fsSN --speed-limit 1 --speed-time 15 "$url/vram/stream" |
        sed -un 's/^data: //p' |
        jq -r --unbuffered '
            "allocated=\(.allocated_vram_bytes) kv=\(.used_kv_cache_bytes)"
            + " hit=\(.prefix_cache_hit_rate)"
            + ([.models[] | " \(.model_id):\(.port)=\(.used_kv_cache_bytes)"] | add // "")'
    echo "the stream has ended: again in 2 s" >&2
    sleep 2
done
