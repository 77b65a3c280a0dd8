// SPDX-License-Identifier: Apache-2.0
/*
 * fleet_file.h - for tests: documents of a gateway, from a file or of any size
 */
#ifndef UNIT_FLEET_FILE_H
#define UNIT_FLEET_FILE_H

#include "base/buf.h"
#include "vramscope.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#ifndef SOURCE_FIXTURES_DIR
#define SOURCE_FIXTURES_DIR "tests/fixtures"
#endif

enum { FLEET_DOCUMENT_MAX = 8 << 20 };

static inline const struct vramscope_detail *detail_of_span(struct span json)
{
    const struct vramscope_detail *detail = NULL;
    char why[256] = "";

    if (vramscope_detail_parse(json.at, json.len, &detail, why, sizeof(why)) < 0)
        fail_msg("a document is refused: %s", why);
    return detail;
}

static inline const struct vramscope_detail *detail_of_text(const char *json)
{
    return detail_of_span(span_of(json));
}

/* A file of tests/fixtures/fleet. */
static inline const struct vramscope_detail *fleet_document(const char *name)
{
    const char *dir = getenv("SOURCE_FIXTURES_DIR");
    const struct vramscope_detail *detail;
    struct buf json;
    char path[512];
    FILE *file;
    size_t n;

    snprintf(path, sizeof(path), "%s/fleet/%s", dir ? dir : SOURCE_FIXTURES_DIR, name);
    file = fopen(path, "rb");
    if (!file)
        fail_msg("%s cannot be opened", path);
    buf_init(&json, FLEET_DOCUMENT_MAX);
    while ((n = fread(buf_reserve(&json, 4096), 1, 4096, file)) > 0)
        json.len += n;
    (void)fclose(file);
    detail = detail_of_span(buf_span(&json));
    buf_done(&json);
    return detail;
}

static inline void add_fleet_node(struct buf *json, unsigned i)
{
    static const char *const states[] = {"live",  "live", "live",   "live",
                                         "stale", "live", "outage", "lost"};

    buf_printf(
        json,
        "%s{\"node\":\"gpu%04u\",\"state\":\"%s\",\"reason\":null,\"counted\":true,"
        "\"gateway\":false,\"nodes\":1,\"name_taken\":false,\"age_ms\":%u,"
        "\"interval_ms\":500,\"clock_offset_ms\":-3,\"version\":\"0.1.0\","
        "\"machine\":\"00000000000000000000000000%06u\","
        "\"boot\":\"abcdef000000%04u\",\"seq\":4711,"
        "\"started_unix_ms\":1790000000000,\"messages\":12000,\"malformed\":0,"
        "\"dropped\":0,\"gpus\":8,\"models\":4,",
        i ? "," : "", i, states[i % 8], 100 + i, i, i);
    buf_printf(
        json,
        "\"vram\":{\"total_bytes\":687194767360,\"allocated_bytes\":%" PRIu64 ","
        "\"from\":\"measured\",\"models_bytes\":477000000000,\"other_bytes\":2000000000,"
        "\"orphan_bytes\":0,\"unattributed_bytes\":1000000},"
        "\"kv_cache\":{\"used_bytes\":%" PRIu64 ",\"capacity_bytes\":320000000000,"
        "\"from\":\"derived\",\"unknown_models\":0},\"prefix_cache\":{\"hit_percent\":%u."
        "5},"
        "\"requests\":{\"running\":%u,\"waiting\":%u}}",
        UINT64_C(400000000000) + UINT64_C(1000000) * i, UINT64_C(70000000) * i, i % 100,
        i % 50, i % 7);
}

/* A gateway of so many nodes and rows. */
static inline const struct vramscope_detail *fleet_of(unsigned n_nodes, unsigned n_models)
{
    const struct vramscope_detail *detail;
    struct buf json;

    buf_init(&json, FLEET_DOCUMENT_MAX);
    buf_printf(&json, "{\"schema\":1,\"boot\":\"eb6d5328413fa3ef\",\"seq\":1,"
                      "\"unix_ms\":1790086400000,\"interval_ms\":500,\"models\":[");
    for (unsigned i = 0; i < n_models; i++)
        buf_printf(&json,
                   "%s{\"model\":\"model-%03u\",\"model_id\":\"model-%03u\",\"port\":%u,"
                   "\"state\":\"ready\",\"nodes\":9,\"nodes_ready\":8}",
                   i ? "," : "", i, i, 8000 + i);
    buf_printf(&json,
               "],\"fleet\":{\"nodes\":%u,\"nats\":{\"connected\":true}},\"nodes\":[",
               n_nodes);
    for (unsigned i = 0; i < n_nodes; i++)
        add_fleet_node(&json, i);
    buf_printf(&json, "]}");
    if (json.error)
        fail_msg("a document of more than %d bytes", FLEET_DOCUMENT_MAX);
    detail = detail_of_span(buf_span(&json));
    buf_done(&json);
    return detail;
}

#endif
