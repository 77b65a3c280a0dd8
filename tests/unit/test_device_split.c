// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "facts.h"
#include "join/device_split.h"

#define U UNKNOWN

/* How the server was started. */
enum start {
    NOT_SEEN,
    SEEN,   // its command line, whole
    UNCLEAR // something on it could not be read
};

/* An expected figure; error is compared where it is known. */
struct wanted {
    uint64_t value;
    enum provenance how;
    uint64_t error;
};

#define EXACT(value)      \
    {                     \
        value, DERIVED, 0 \
    }
#define ABOUT(value, error)     \
    {                           \
        value, ESTIMATED, error \
    }
#define NOT_KNOWN          \
    {                      \
        U, FROM_NOWHERE, U \
    }

/* One model, whose memory is on up to three devices, and what of its cache is on two. */
static const struct row {
    const char *row;
    enum start start;
    uint64_t tp, pp, pcp, draft_tp;
    uint64_t gpus; // the operator's word
    uint32_t engines;
    bool same_on_each;
    uint64_t held[3]; // 0: it is not on that device
    enum provenance held_how;
    struct figure pool, used;
    struct wanted pools[2], useds[2];
    const char *why; // words in the reason of the first; NULL: it has none
} rows[] = {
    // clang-format off
    {"one device", NOT_SEEN, U, U, U, U, U, 1, false, {100}, MEASURED,
     {60, DERIVED, NULL, 0}, {12, DERIVED, NULL, 0},
     {EXACT(60)}, {EXACT(12)}, NULL},
    {"one device, all else is kept", NOT_SEEN, U, U, U, U, U, 1, false, {100}, MEASURED,
     {60, ESTIMATED, "log", 7}, {12, BY_ENGINE, "said", 0},
     {ABOUT(60, 7)}, {{12, BY_ENGINE, 0}}, "log"},
    {"one device, no bound", NOT_SEEN, U, U, U, U, U, 1, false, {100}, MEASURED,
     {60, ESTIMATED, "log", U}, {12, ESTIMATED, "log", U},
     {ABOUT(60, U)}, {ABOUT(12, U)}, "log"},
    {"one device, several engines on it", NOT_SEEN, U, U, U, U, U, 4, false, {100}, MEASURED,
     {60, BY_ENGINE, NULL, 0}, {12, BY_ENGINE, NULL, 0},
     {{60, BY_ENGINE, 0}}, {{12, BY_ENGINE, 0}}, NULL},
    {"one device, but started on two", SEEN, 2, U, U, U, U, 1, false, {100}, MEASURED,
     {60, DERIVED, NULL, 0}, {12, DERIVED, NULL, 0},
     {NOT_KNOWN}, {NOT_KNOWN}, "another number of GPUs"},
    {"one device, but the operator says two", SEEN, U, U, U, U, 2, 1, false, {100}, MEASURED,
     {60, DERIVED, NULL, 0}, {12, DERIVED, NULL, 0},
     {NOT_KNOWN}, {NOT_KNOWN}, "another number of GPUs"},
    {"one device, the list is not complete", NOT_SEEN, U, U, U, U, U, 1, false, {100}, ESTIMATED,
     {60, DERIVED, NULL, 0}, {12, DERIVED, NULL, 0},
     {NOT_KNOWN}, {NOT_KNOWN}, "minima"},
    {"the same, but it was started on one", SEEN, U, U, U, U, U, 1, false, {100}, ESTIMATED,
     {60, DERIVED, NULL, 0}, {12, DERIVED, NULL, 0},
     {EXACT(60)}, {EXACT(12)}, NULL},
    {"the same, but who knows all of its command line", UNCLEAR, U, U, U, U, U, 1, false, {100}, ESTIMATED,
     {60, DERIVED, NULL, 0}, {12, DERIVED, NULL, 0},
     {NOT_KNOWN}, {NOT_KNOWN}, "minima"},
    {"more than is seen to be held", SEEN, U, U, U, U, U, 1, false, {59}, ESTIMATED,
     {60, DERIVED, NULL, 0}, {12, DERIVED, NULL, 0},
     {NOT_KNOWN}, {NOT_KNOWN}, "larger than what its processes hold there"},
    {"its memory is hidden", SEEN, U, U, U, U, U, 1, false, {100}, FROM_NOWHERE,
     {60, DERIVED, NULL, 0}, {12, DERIVED, NULL, 0},
     {NOT_KNOWN}, {NOT_KNOWN}, "minima"},

    {"TP 2", SEEN, 2, U, U, U, U, 1, false, {100, 90}, MEASURED,
     {120, DERIVED, NULL, 0}, {12, DERIVED, NULL, 0},
     {EXACT(60), EXACT(60)}, {EXACT(6), EXACT(6)}, NULL},
    {"TP 2, with errors", SEEN, 2, 1, 1, 2, U, 1, false, {100, 90}, MEASURED,
     {120, ESTIMATED, "log", 9}, {12, ESTIMATED, "log", U},
     {ABOUT(60, 5), ABOUT(60, 5)}, {ABOUT(6, U), ABOUT(6, U)}, "log"},
    {"TP 2, an odd byte", SEEN, 2, U, U, U, U, 1, false, {100, 90}, MEASURED,
     {121, BY_ENGINE, NULL, 0}, {12, BY_ENGINE, NULL, 0},
     {ABOUT(60, 1), ABOUT(60, 1)}, {{6, BY_ENGINE, 0}, {6, BY_ENGINE, 0}}, "evenly"},
    {"TP 2, asleep", SEEN, 2, U, U, U, U, 1, false, {3, 3}, MEASURED,
     {0, BY_ENGINE, "asleep", 0}, {0, BY_ENGINE, "asleep", 0},
     {{0, BY_ENGINE, 0}, {0, BY_ENGINE, 0}}, {{0, BY_ENGINE, 0}, {0, BY_ENGINE, 0}}, "asleep"},
    {"TP 2, more than one of them holds", SEEN, 2, U, U, U, U, 1, false, {59, 90}, MEASURED,
     {120, DERIVED, NULL, 0}, {12, DERIVED, NULL, 0},
     {NOT_KNOWN, EXACT(60)}, {NOT_KNOWN, EXACT(6)}, "not believed"},
    {"TP 2, exactly what one of them holds", SEEN, 2, U, U, U, U, 1, false, {60, 90}, MEASURED,
     {120, DERIVED, NULL, 0}, {12, DERIVED, NULL, 0},
     {EXACT(60), EXACT(60)}, {EXACT(6), EXACT(6)}, NULL},
    {"TP 4 on 2 devices", SEEN, 4, U, U, U, U, 1, false, {100, 90}, MEASURED,
     {120, DERIVED, NULL, 0}, {12, DERIVED, NULL, 0},
     {NOT_KNOWN, NOT_KNOWN}, {NOT_KNOWN, NOT_KNOWN}, "another number of GPUs"},
    {"TP 2, the list is not complete", SEEN, 2, U, U, U, U, 1, false, {100, 90}, ESTIMATED,
     {120, DERIVED, NULL, 0}, {12, DERIVED, NULL, 0},
     {EXACT(60), EXACT(60)}, {EXACT(6), EXACT(6)}, NULL},
    {"the size is not known, nothing is in use", SEEN, 2, U, U, U, U, 1, false, {100, 90}, MEASURED,
     {U, FROM_NOWHERE, "nobody knows", U}, {0, DERIVED, "no block", 0},
     {NOT_KNOWN, NOT_KNOWN}, {EXACT(0), EXACT(0)}, "nobody knows"},
    {"neither is known", SEEN, 2, U, U, U, U, 1, false, {100, 90}, MEASURED,
     {U, FROM_NOWHERE, "nobody knows", U}, {U, FROM_NOWHERE, "nor this", U},
     {NOT_KNOWN, NOT_KNOWN}, {NOT_KNOWN, NOT_KNOWN}, "nobody knows"},

    // 150 of 200 bytes: the first can have 50 to 100, the second 50 to 100 as well.
    {"not known how it was started", NOT_SEEN, U, U, U, U, U, 1, false, {100, 100}, MEASURED,
     {150, DERIVED, NULL, 0}, {30, DERIVED, NULL, 0},
     {ABOUT(75, 25), ABOUT(75, 25)}, {ABOUT(15, 6), ABOUT(15, 6)}, "not known: taken in proportion"},
    {"a command line that is not clear", UNCLEAR, 2, U, U, U, U, 1, false, {100, 100}, MEASURED,
     {150, DERIVED, NULL, 0}, {30, DERIVED, NULL, 0},
     {ABOUT(75, 25), ABOUT(75, 25)}, {ABOUT(15, 6), ABOUT(15, 6)}, "not known: taken in proportion"},
    {"the operator says how many bytes per block", NOT_SEEN, U, U, U, U, U, 1, true, {100, 100}, MEASURED,
     {150, DERIVED, NULL, 0}, {30, DERIVED, NULL, 0},
     {EXACT(75), EXACT(75)}, {EXACT(15), EXACT(15)}, NULL},
    {"another draft", SEEN, 2, U, U, 1, U, 1, false, {100, 100}, MEASURED,
     {150, DERIVED, NULL, 0}, {30, DERIVED, NULL, 0},
     {ABOUT(75, 25), ABOUT(75, 25)}, {ABOUT(15, 6), ABOUT(15, 6)}, "unlike numbers of layers"},
    {"PP 2", SEEN, U, 2, U, U, U, 1, false, {120, 80}, MEASURED,
     {150, DERIVED, NULL, 0}, {30, DERIVED, NULL, 0}, // 70..120, 30..80
     {ABOUT(90, 30), ABOUT(60, 30)}, {ABOUT(18, 7), ABOUT(12, 6)}, "unlike numbers of layers"},
    {"PP 2, its pool is an estimate", SEEN, U, 2, U, U, U, 1, false, {120, 80}, MEASURED,
     {150, ESTIMATED, "log", 10}, {30, ESTIMATED, "log", 2}, // 60..120, 20..80
     {ABOUT(90, 30), ABOUT(60, 40)}, {ABOUT(18, 7), ABOUT(12, 8)}, "unlike numbers of layers"},
    {"PP 2, no bound of the whole", SEEN, U, 2, U, U, U, 1, false, {120, 80}, MEASURED,
     {150, ESTIMATED, "log", U}, {30, ESTIMATED, "log", U}, // 0..120, 0..80
     {ABOUT(90, 90), ABOUT(60, 60)}, {ABOUT(18, 102), ABOUT(12, 68)}, "unlike numbers of layers"},
    {"PP 2, the list is not complete", SEEN, U, 2, U, U, U, 1, false, {120, 80}, ESTIMATED,
     {150, DERIVED, NULL, 0}, {30, DERIVED, NULL, 0},
     {NOT_KNOWN, NOT_KNOWN}, {NOT_KNOWN, NOT_KNOWN}, "minima"},
    {"it holds nothing but its pool", SEEN, U, 2, U, U, U, 1, false, {90, 60}, MEASURED,
     {150, DERIVED, NULL, 0}, {0, DERIVED, NULL, 0},
     {EXACT(90), EXACT(60)}, {EXACT(0), EXACT(0)}, NULL},
    {"TP 2 with PP 2, but the operator says two", SEEN, 2, 2, U, U, 2, 1, false, {120, 80}, MEASURED,
     {150, DERIVED, NULL, 0}, {0, DERIVED, NULL, 0},
     {ABOUT(90, 30), ABOUT(60, 30)}, {EXACT(0), EXACT(0)}, "unlike numbers of layers"},
    {"PCP 2", SEEN, U, U, 2, U, U, 1, false, {100, 100}, MEASURED,
     {150, DERIVED, NULL, 0}, {30, DERIVED, NULL, 0},
     {ABOUT(75, 25), ABOUT(75, 25)}, {ABOUT(15, 6), ABOUT(15, 6)}, "unlike numbers of layers"},

    {"DP 2", SEEN, U, U, U, U, U, 2, false, {100, 100}, MEASURED,
     {150, DERIVED, NULL, 0}, {120, DERIVED, NULL, 0}, // used: the other has room for 100
     {ABOUT(75, 25), ABOUT(75, 25)}, {ABOUT(60, 40), ABOUT(60, 40)}, "data-parallel engines has a pool"},
    {"DP 2, hardly in use", SEEN, U, U, U, U, U, 2, false, {100, 100}, MEASURED,
     {150, DERIVED, NULL, 0}, {10, DERIVED, NULL, 0},
     {ABOUT(75, 25), ABOUT(75, 25)}, {ABOUT(5, 5), ABOUT(5, 5)}, "data-parallel engines has a pool"},
    {"DP 2, each was ordered a pool", SEEN, U, U, U, U, U, 2, true, {100, 100}, MEASURED,
     {150, DERIVED, NULL, 0}, {120, DERIVED, NULL, 0}, // used: 45..75
     {EXACT(75), EXACT(75)}, {ABOUT(60, 15), ABOUT(60, 15)}, NULL},
    {"DP 2, each was ordered a pool, all in use", SEEN, U, U, U, U, U, 2, true, {100, 100}, MEASURED,
     {150, DERIVED, NULL, 0}, {150, DERIVED, NULL, 0},
     {EXACT(75), EXACT(75)}, {EXACT(75), EXACT(75)}, NULL},
    {"DP 2 with TP 2 on three devices", SEEN, 2, U, U, U, U, 2, false, {100, 100, 100}, MEASURED,
     {150, DERIVED, NULL, 0}, {120, DERIVED, NULL, 0},
     {NOT_KNOWN, NOT_KNOWN}, {NOT_KNOWN, NOT_KNOWN}, "another number of GPUs"},
    {"DP 3, nothing in use", SEEN, U, U, U, U, U, 3, false, {100, 100, 100}, MEASURED,
     {150, DERIVED, NULL, 0}, {0, DERIVED, NULL, 0}, // 0..100
     {ABOUT(50, 50), ABOUT(50, 50)}, {EXACT(0), EXACT(0)}, "data-parallel engines has a pool"},

    {"as large as can be", SEEN, U, 2, U, U, U, 1, false, {INT64_MAX / 2, INT64_MAX / 2}, MEASURED,
     {INT64_MAX - 1, DERIVED, NULL, 0}, {INT64_MAX - 1, DERIVED, NULL, 0},
     {EXACT(INT64_MAX / 2), EXACT(INT64_MAX / 2)}, {ABOUT(INT64_MAX / 2, 1), ABOUT(INT64_MAX / 2, 1)}, NULL},
    // clang-format on
};

static struct facts f;

static void set_up(const struct row *row, struct model_facts *model,
                   struct model_memory *ret)
{
    memset(model, 0, sizeof(*model));
    launch_clear(&model->launch);
    model->has_launch = row->start != NOT_SEEN;
    model->launch.unclear = row->start == UNCLEAR;
    model->launch.tp = row->tp;
    model->launch.pp = row->pp;
    model->launch.pcp = row->pcp;
    model->launch.draft_tp = row->draft_tp;

    facts_begin(&f);
    facts_engine(&f, 8000, 100, "m")->gpus = row->gpus;
    f.joined[0].model = model;
    f.engines[0].page.engines = row->engines;

    *ret = (struct model_memory){.bytes = figure_of(0, row->held_how, "minima")};
    for (unsigned i = 0; i < ARRAY_LEN(row->held); i++) {
        ret->devices |= (uint64_t)(row->held[i] != 0) << i;
        ret->held[i] = row->held[i];
        ret->bytes.value += row->held[i];
    }
}

static void check(const struct row *row, const char *what, unsigned device,
                  struct figure is, struct wanted wanted)
{
    if (is.value != wanted.value || is.how != wanted.how || is.error != wanted.error)
        fail_msg("[%s] %s on device %u: %llu, %s, error %llu", row->row, what, device,
                 (unsigned long long)is.value, provenance_name(is.how),
                 (unsigned long long)is.error);
    if (!is.why && (is.how == ESTIMATED || is.how == FROM_NOWHERE))
        fail_msg("[%s] %s on device %u: no reason", row->row, what, device);
}

static void test_shares(void **state)
{
    static struct model_facts model; // too large for a stack

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct kv_bytes kv = {.pool = rows[i].pool,
                              .used = rows[i].used,
                              .same_on_each_gpu = rows[i].same_on_each};
        struct model_memory memory;

        set_up(&rows[i], &model, &memory);
        for (unsigned device = 0; device < ARRAY_LEN(rows[i].pools); device++) {
            struct kv_share share;

            if (!rows[i].held[device])
                continue;
            share = device_split_kv(&f.joined[0], &kv, &memory, device);
            check(&rows[i], "pool", device, share.pool, rows[i].pools[device]);
            check(&rows[i], "used", device, share.used, rows[i].useds[device]);
            if (device == 0 && !share.pool.why != !rows[i].why)
                fail_msg("[%s] %s", rows[i].row, share.pool.why);
            if (device == 0 && rows[i].why && !strstr(share.pool.why, rows[i].why))
                fail_msg("[%s] %s", rows[i].row, share.pool.why);
        }
    }
}

/* The pool on each, for engines of which each has its own: 150 bytes in all. */
static const struct {
    const char *row;
    enum start start;
    uint64_t tp, pp;
    uint32_t engines, devices;
    bool same_on_each;
    struct wanted each;
} eaches[] = {
    {"one device", NOT_SEEN, U, U, 1, 1, false, EXACT(150)},
    {"TP 2", SEEN, 2, U, 1, 2, false, EXACT(75)},
    {"TP 3", SEEN, 3, 1, 1, 3, false, EXACT(50)},
    {"PP 2", SEEN, U, 2, 1, 2, false, NOT_KNOWN},
    {"how it was started is not known", NOT_SEEN, U, U, 1, 2, false, NOT_KNOWN},
    {"so it was told of each", NOT_SEEN, U, U, 1, 2, true, EXACT(75)},
    {"DP 2, each on a device of its own", NOT_SEEN, U, U, 2, 2, false, EXACT(75)},
    {"DP 3, each on a device of its own", SEEN, U, U, 3, 3, false, EXACT(50)},
    {"DP 2 on three devices", NOT_SEEN, U, U, 2, 3, false, NOT_KNOWN},
    {"DP 2 on one device", NOT_SEEN, U, U, 2, 1, false, NOT_KNOWN},
    {"another number of devices", SEEN, 2, U, 1, 3, false, NOT_KNOWN},
    {"no engine yet", NOT_SEEN, U, U, 0, 1, false, NOT_KNOWN},
};

static void test_each(void **state)
{
    static struct model_facts model; // too large for a stack

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(eaches); i++) {
        struct row row = {.row = eaches[i].row,
                          .start = eaches[i].start,
                          .tp = eaches[i].tp,
                          .pp = eaches[i].pp,
                          .pcp = U,
                          .draft_tp = U,
                          .gpus = U,
                          .engines = eaches[i].engines,
                          .held_how = MEASURED};
        struct kv_bytes kv = {.pool = {150, DERIVED, NULL, 0},
                              .same_on_each_gpu = eaches[i].same_on_each};
        struct model_memory memory;

        for (uint32_t k = 0; k < eaches[i].devices; k++)
            row.held[k] = 200;
        set_up(&row, &model, &memory);
        check(&row, "each", 0, device_split_each(&f.joined[0], &kv, &memory),
              eaches[i].each);
        kv.pool = figure_unknown("nobody knows");
        check(&row, "each", 0, device_split_each(&f.joined[0], &kv, &memory),
              (struct wanted)NOT_KNOWN);
    }
}

/* What is held, what of it is pool, and how that is known. */
struct part {
    uint64_t held;
    struct figure pool;
};

/* Models on one device, one after the other. */
static const struct {
    const char *row;
    struct part parts[3];
    uint64_t held;
    struct wanted pool;
    uint32_t unknown;
    const char *why;
} sums[] = {
    // clang-format off
    {"none", {{0}}, 0, EXACT(0), 0, NULL},
    {"one", {{10, {4, BY_ENGINE, NULL, 0}}}, 10, {4, BY_ENGINE, 0}, 0, NULL},
    {"the less exact one counts", {{10, {4, DERIVED, "d", 0}}, {9, {3, BY_ENGINE, "b", 0}}},
     19, EXACT(7), 0, "d"},
    {"errors add up", {{10, {4, ESTIMATED, "x", 2}}, {9, {3, DERIVED, "y", 0}}, {8, {1, ESTIMATED, "z", 1}}},
     27, ABOUT(8, 3), 0, "x"},
    {"an estimate says why", {{10, {4, DERIVED, "y", 0}}, {8, {1, ESTIMATED, "z", 1}}},
     18, ABOUT(5, 1), 0, "z"},
    {"no bound", {{10, {4, ESTIMATED, "x", 2}}, {9, {3, ESTIMATED, "y", U}}},
     19, ABOUT(7, U), 0, "x"},
    {"the first is not known", {{10, {U, FROM_NOWHERE, "n", U}}, {9, {3, DERIVED, "y", 0}}},
     19, NOT_KNOWN, 1, "n"},
    {"two are not known", {{9, {3, DERIVED, "y", 0}}, {10, {U, FROM_NOWHERE, "n", U}}, {10, {U, FROM_NOWHERE, "m", U}}},
     29, NOT_KNOWN, 2, "n"},
    // clang-format on
};

static void test_sums(void **state)
{
    static struct snapshot_device devices[GPU_DEVICES_MAX]; // too large for a stack

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sums); i++) {
        struct snapshot_device *device = &devices[1];
        uint32_t n = 0;

        memset(devices, 0, sizeof(devices));
        device->kv_pool_bytes = device->kv_used_bytes = figure_of(0, DERIVED, NULL);
        for (; n < ARRAY_LEN(sums[i].parts) && sums[i].parts[n].held; n++) {
            const struct part *part = &sums[i].parts[n];
            struct kv_bytes kv = {.pool = part->pool, .used = part->pool};
            struct model_memory memory = {.bytes = figure_of(part->held, MEASURED, NULL),
                                          .devices = 2,
                                          .held = {0, part->held}};

            facts_begin(&f);
            device_split_add(facts_engine(&f, 8000, 100, "m"), &kv, &memory, devices);
        }
        if (device->models_bytes != sums[i].held || device->n_models != n ||
            device->kv_pool_unknown != sums[i].unknown ||
            device->kv_used_unknown != sums[i].unknown || devices[0].models_bytes ||
            devices[0].n_models || device->kv_pool_bytes.value != sums[i].pool.value ||
            device->kv_pool_bytes.how != sums[i].pool.how ||
            device->kv_pool_bytes.error != sums[i].pool.error)
            fail_msg("[%s] %llu, %s", sums[i].row,
                     (unsigned long long)device->kv_pool_bytes.value,
                     provenance_name(device->kv_pool_bytes.how));
        if (!sums[i].why != !device->kv_used_bytes.why ||
            (sums[i].why && strcmp(sums[i].why, device->kv_used_bytes.why) != 0))
            fail_msg("[%s] %s", sums[i].row, device->kv_used_bytes.why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_each),
        cmocka_unit_test(test_sums),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
