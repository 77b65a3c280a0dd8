// SPDX-License-Identifier: Apache-2.0
/*
 * sim_page.h - the whole /metrics page of a simulated vLLM server
 *
 * Pure: the same facts give the same bytes. What a real server says about its Python
 * process is made up; what it says about requests and KV blocks comes from the load.
 */
#ifndef SIM_SIM_PAGE_H
#define SIM_SIM_PAGE_H

#include "base/buf.h"
#include "sim/sim_load.h"

enum { SIM_PAGE_BYTES_MAX = 16 * 1024 * 1024 };

/* Requests that came in over HTTP and were answered for real. */
struct sim_http_counts {
    uint64_t models_requests; // GET /v1/models
    uint64_t models_bytes;    // of its answers
};

struct sim_page {
    const char *model; // valid UTF-8 without control characters
    const struct sim_load *load;
    uint64_t
        kv_pool_bytes; // per GPU, as an operator's flag says it; UNKNOWN: no such flag
    double started_s;  // Unix time
    double cpu_s;
    struct sim_http_counts http;
};

/* Tokens that the longest request may have. */
uint64_t sim_page_max_model_len(const struct sim_load_options *options);

/* Append the page; `out` says whether it fitted. */
void sim_page_write(struct buf *out, const struct sim_page *page);

/* Parts of the page, for sim_page.c. */
void sim_page_write_cache_config(struct buf *out, const struct sim_page *page);
void sim_page_write_http(struct buf *out, const struct sim_page *page);

#endif
