// SPDX-License-Identifier: Apache-2.0
/* A head is as long in pieces as whole; what is accepted lies in it and is a path. */
#include "net/http_request.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(struct span head, struct span part)
{
    assert(!part.at || (part.at >= head.at && part.at + part.len <= head.at + head.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span head = {(const char *)data, size}, value = {NULL, 0};
    size_t scanned = 0, step = size ? *data % 16 + 1U : 1;
    int whole = http_head_length(head, &scanned), r = 0;
    struct http_request request;

    scanned = 0;
    for (size_t n = 0; n < size && r == 0;) {
        n = MIN(n + step, size);
        r = http_head_length((struct span){head.at, n}, &scanned);
    }
    assert(r == whole && r <= (int)size);
    head.len = r > 0 ? (size_t)r : size;
    if (http_request_parse(head, &request) < 0)
        return 0;

    assert(r > 0 && (span_is(request.path, "*") || request.path.at[0] == '/'));
    for (struct span *part = &request.path; part <= &request.sec_fetch_site; part++)
        check_inside(head, *part);
    if (http_query_find(request.query, "a", &value))
        check_inside(request.query, value);
    return 0;
}
