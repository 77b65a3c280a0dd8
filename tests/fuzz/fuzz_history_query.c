// SPDX-License-Identifier: Apache-2.0
#include <assert.h>
#include <string.h>

#include "history/history_query.h"
#include "serve/parameters.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW_MS INT64_C(1790000000123)

enum { INTERVAL_MS = 500 };

static int read_query(const struct history_parameters *given, struct history_query *ret,
                      struct complaint *why)
{
    return history_query_read(given, NOW_MS, INTERVAL_MS, ret, why);
}

static void check_query(const struct history_query *query)
{
    const struct history_span *span = &query->span;

    assert(span->from_ms >= 0 && span->from_ms < span->to_ms);
    assert(span->step_ms >= 0);
    assert((span->to_ms - span->from_ms - 1) /
               (span->step_ms ? span->step_ms : INTERVAL_MS) <
           HISTORY_POINTS_MAX);
    assert(memchr(span->model, 0, sizeof(span->model)));
}

/* "...: step=1h would do" has to. */
static void check_step(struct history_parameters given, const char *said)
{
    struct complaint why = {""};
    struct history_query query;

    said += strlen("step=");
    given.step = (struct span){said, strcspn(said, " ")};
    assert(read_query(&given, &query, &why) == 0 ||
           strncmp(why.text, "\"step\"", 6) != 0);
}

/* A query of a URL is refused with words, or asks for a span of bounded length. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"from", "to", "step", "model", "format"};
    const struct span text = {(const char *)data, size};
    struct history_parameters given = {.accepts_csv = size % 2};
    struct span *const values[] = {&given.from, &given.to, &given.step, &given.model,
                                   &given.format};
    struct history_query query = {.span.step_ms = -1};
    struct complaint why = {""};
    const char *said;
    int r;

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (parameter_find(text, names[i], values[i]) < 0)
            return 0;
    r = read_query(&given, &query, &why);
    if (r == 0) {
        check_query(&query);
        return 0;
    }
    assert(r == -EINVAL && *why.text == '"' && query.span.step_ms == -1);
    said = strstr(why.text, "step=");
    if (said)
        check_step(given, said);
    return 0;
}
