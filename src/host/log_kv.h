// SPDX-License-Identifier: Apache-2.0
/*
 * log_kv.h - what vLLM's start-up log says of the KV cache
 *
 * Pure: the text of a log in, numbers out. Only whole lines count, in the exact form in
 * which vLLM writes them, so that nothing which a request put into the log is believed.
 */
#ifndef HOST_LOG_KV_H
#define HOST_LOG_KV_H

#include "base/base.h"

enum { LOG_KV_ERROR_BYTES = (1 << 30) / 200 }; // logged with two decimals of a GiB

/* A line that each worker or engine may have written. n = 0: none has. */
struct log_range {
    uint32_t n;
    uint64_t lowest;
    uint64_t highest;
};

/* Of the last start-up in the log; bytes are of one GPU, within LOG_KV_ERROR_BYTES. */
struct log_kv {
    uint32_t server_pid; // as it counts itself; 0: not said (before vLLM 0.10.1)
    struct log_range available_bytes; // for the KV cache; rank 0's, or that of every rank
    struct log_range reserved_bytes;  // for the KV cache, where ordered in bytes
    struct log_range loaded_bytes;    // weights
    struct log_range size_tokens;     // exact; one line per data-parallel engine
};

/* -ENOENT: the last start-up in `text` has written none of these lines. */
int log_find_kv(struct span text, struct log_kv *ret) MUST_CHECK;

/*
 * Whether the start-up found is that of the process whose pid, as it counts itself, is
 * `ns_pid`: several runs, and several servers, may write to one file. Where the log does
 * not say whose it is, it must have been read to its end (`whole`).
 */
bool log_kv_is_of(const struct log_kv *kv, uint32_t ns_pid, bool whole);

#endif
