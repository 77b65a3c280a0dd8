// SPDX-License-Identifier: Apache-2.0
#include "encode/compact_fields.h"

#include <assert.h>

#define ENTRY(type, at, of_kind, called, member) \
    [at] = {.kind = COMPACT_##of_kind,           \
            .number = at,                        \
            .size = sizeof(((type *)0)->member), \
            .offset = offsetof(type, member),    \
            .name = #called},

static const struct compact_field heads[] = {
#define HEAD(number, kind, name, member) \
    ENTRY(struct compact_head, number, kind, name, member)
#include "encode/compact.def"
};

static const struct compact_field totals[] = {
#define TOTALS(number, kind, name, member) \
    ENTRY(struct snapshot, number, kind, name, member)
#include "encode/compact.def"
};

static const struct compact_field sources[] = {
#define SOURCE(number, kind, name, member) \
    ENTRY(struct gpu_source_state, number, kind, name, member)
#include "encode/compact.def"
};

static const struct compact_field devices[] = {
#define DEVICE(number, kind, name, member) \
    ENTRY(struct snapshot_device, number, kind, name, member)
#include "encode/compact.def"
};

static const struct compact_field models[] = {
#define MODEL(number, kind, name, member) \
    ENTRY(struct snapshot_model, number, kind, name, member)
#include "encode/compact.def"
};

static const struct compact_field processes[] = {
#define PROCESS(number, kind, name, member) \
    ENTRY(struct snapshot_process, number, kind, name, member)
#include "encode/compact.def"
};

static const struct compact_field events[] = {
#define EVENT_ROW(number, kind, name, member) \
    ENTRY(struct event, number, kind, name, member)
#include "encode/compact.def"
};

static const struct compact_field selves[] = {
#define SELF(number, kind, name, member) \
    ENTRY(struct snapshot_self, number, kind, name, member)
#include "encode/compact.def"
};

static const struct compact_field limited[] = {
#define LIMITED(number, kind, name, member) \
    ENTRY(struct snapshot_limited, number, kind, name, member)
#include "encode/compact.def"
};

static const struct compact_field figures[] = {
#define FIGURE_PART(number, kind, name, member) \
    ENTRY(struct figure, number, kind, name, member)
#include "encode/compact.def"
};

#define TABLE(fields)             \
    {                             \
        fields, ARRAY_LEN(fields) \
    }

const struct compact_table compact_tables[COMPACT_PARTS] = {
    [COMPACT_PART_HEAD] = TABLE(heads),      [COMPACT_PART_TOTALS] = TABLE(totals),
    [COMPACT_PART_SOURCE] = TABLE(sources),  [COMPACT_PART_DEVICE] = TABLE(devices),
    [COMPACT_PART_MODEL] = TABLE(models),    [COMPACT_PART_PROCESS] = TABLE(processes),
    [COMPACT_PART_EVENT] = TABLE(events),    [COMPACT_PART_SELF] = TABLE(selves),
    [COMPACT_PART_LIMITED] = TABLE(limited),
};

const struct compact_table compact_figure = TABLE(figures);

/* Numbers that stand for words are the wire's: the enums may not be reordered. */
static_assert(GPU_NOT_ASKED == 0 && GPU_OK == 1 && GPU_NO_LIBRARY == 2 &&
                  GPU_BAD_LIBRARY == 3 && GPU_NO_DRIVER == 4 &&
                  GPU_VERSION_MISMATCH == 5 && GPU_NO_DEVICE == 6 &&
                  GPU_NO_PERMISSION == 7 && GPU_FAILED == 8,
              "verdicts of docs/fleet.md");
static_assert(ENGINE_LOADING == 0 && ENGINE_STARTING == 1 && ENGINE_READY == 2 &&
                  ENGINE_SLEEPING == 3 && ENGINE_METRICS_DISABLED == 4 &&
                  ENGINE_UNREACHABLE == 5,
              "states of docs/fleet.md");
static_assert(FROM_NOWHERE == 0 && MEASURED == 1 && BY_ENGINE == 2 && DERIVED == 3 &&
                  ESTIMATED == 4,
              "provenances of docs/fleet.md");
static_assert(OWNER_OTHER == 0 && OWNER_ENGINE == 1 && OWNER_ORPHAN == 2,
              "owners of docs/fleet.md");
static_assert(GPU_SOURCES_MAX == 4 && GPU_DEVICES_MAX == 64 && SNAPSHOT_MODELS_MAX == 64,
              "limits of docs/fleet.md");
