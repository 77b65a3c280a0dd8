// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/hit_window.h"

#define S UINT64_C(1000000000)

enum { FRESH = 1 }; // the story begins anew with this line

/* After each reading, what the last minute holds. */
static const struct {
    const char *row;
    unsigned flags;
    double at_s, hits, queries;   // the reading
    double sum_hits, sum_queries; // wanted
} story[] = {
    {"the first reading is the baseline", FRESH, 100, 500, 1000, 0, 0},
    {"then differences count", 0, 100.5, 510, 1020, 10, 20},
    {"in the same second too", 0, 100.9, 511, 1021, 11, 21},
    {"nothing new", 0, 130, 511, 1021, 11, 21},
    {"a minute in all", 0, 159.9, 521, 1121, 21, 121},
    {"the oldest second leaves", 0, 160, 521, 1121, 10, 100},
    {"a later minute is empty", 0, 219.5, 521, 1121, 0, 0},
    {"and fills again", 0, 220, 522, 1125, 1, 4},

    {"a counter goes back", FRESH, 10, 100, 200, 0, 0},
    {"before", 0, 11, 150, 300, 50, 100},
    {"both went back: the window begins anew", 0, 12, 5, 10, 0, 0},
    {"from the new baseline", 0, 13, 6, 14, 1, 4},
    {"only the hits went back", 0, 14, 1, 20, 0, 0},
    {"from there", 0, 15, 2, 30, 1, 10},
    {"only the queries went back", 0, 16, 3, 29, 0, 0},
    {"back to nothing", 0, 17, 0, 0, 0, 0},
    {"and up", 0, 18, 9, 10, 9, 10},

    {"queries, whose hits are not on this page yet", FRESH, 10, 0, 0, 0, 0},
    {"before", 0, 11, 0, 1000, 0, 1000},
    {"the hits come late", 0, 12, 900, 1010, 900, 1010},
    {"more hits than queries", 0, 71, 1005, 1015, 15, 15},

    {"a server not read for long", FRESH, 1000, 0, 0, 0, 0},
    {"59 s later: all of it was in this minute", 0, 1059, 10, 20, 10, 20},
    {"an hour later: nobody knows when it was", 0, 4659, 1000, 2000, 0, 0},
    {"the next second counts", 0, 4660, 1001, 2001, 1, 1},
    {"60 s later: too long", 0, 4720, 1002, 2002, 0, 0},

    {"at the beginning of time", FRESH, 0, 0, 0, 0, 0},
    {"seconds before the first minute is over", 0, 30, 3, 4, 3, 4},
    {"the clock stands still", 0, 30, 5, 8, 5, 8},
};

static uint64_t ns(double seconds)
{
    return (uint64_t)(seconds * 1000 + 0.5) * (S / 1000);
}

static void test_story(void **state)
{
    struct hit_window window = {.step_s = 1};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(story); i++) {
        struct hit_counts sum;

        if (story[i].flags & FRESH)
            hit_window_reset(&window);
        hit_window_read(&window, (struct hit_counts){story[i].hits, story[i].queries},
                        ns(story[i].at_s));
        sum = hit_window_sum(&window, ns(story[i].at_s));
        if (sum.hits < story[i].sum_hits || sum.hits > story[i].sum_hits ||
            sum.queries < story[i].sum_queries || sum.queries > story[i].sum_queries)
            fail_msg("[%s] %g of %g", story[i].row, sum.hits, sum.queries);
    }
}

/* Without a reading in between the window moves on as well. */
static void test_sum_moves_on(void **state)
{
    struct hit_window window = {.step_s = 1};

    (void)state;
    hit_window_read(&window, (struct hit_counts){0, 0}, 100 * S);
    hit_window_read(&window, (struct hit_counts){3, 4}, 101 * S);
    assert_int_equal(hit_window_sum(&window, 101 * S).queries, 4);
    assert_int_equal(hit_window_sum(&window, 160 * S + S / 2).queries, 4);
    assert_int_equal(hit_window_sum(&window, 161 * S).queries, 0);
    assert_int_equal(hit_window_sum(&window, 100000 * S).queries, 0);
}

static void test_empty(void **state)
{
    struct hit_window window = {.step_s = 1};

    (void)state;
    assert_int_equal(hit_window_sum(&window, 0).queries, 0);
    assert_int_equal(hit_window_sum(&window, 59 * S).queries, 0);
    assert_int_equal(hit_window_sum(&window, 100000 * S).queries, 0);
}

enum { READINGS = 20000 };

struct step {
    uint64_t second;
    struct hit_counts more;
};

/* The plain way to count: look at everything there was. */
static struct hit_counts count_plainly(const struct step *steps, size_t n, uint64_t now)
{
    struct hit_counts sum = {0, 0};

    for (size_t i = 0; i < n; i++) {
        if (steps[i].second + HIT_WINDOW_STEPS <= now / S)
            continue;
        sum.hits += steps[i].more.hits;
        sum.queries += steps[i].more.queries;
    }
    return sum;
}

static uint64_t draw(uint64_t *seed, uint64_t below)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*seed >> 33) % below;
}

static void test_random(void **state)
{
    static struct step steps[READINGS];
    struct hit_window window = {.step_s = 1};
    struct hit_counts counters = {0, 0};
    uint64_t now = 50 * S, seed = 42;
    size_t n = 0;

    (void)state;
    hit_window_read(&window, counters, now);
    for (int i = 0; i < READINGS; i++) {
        struct hit_counts more = {(double)draw(&seed, 50), 0}, sum, wanted;

        more.queries = more.hits + (double)draw(&seed, 50);
        now += draw(&seed, draw(&seed, 16) ? 2000 : 50000) * (S / 1000);
        counters.hits += more.hits;
        counters.queries += more.queries;
        steps[n++] = (struct step){now / S, more};
        if (draw(&seed, 128) == 0) { // restarted
            counters = (struct hit_counts){0, 0};
            n = 0;
        }
        hit_window_read(&window, counters, now);
        sum = hit_window_sum(&window, now);
        wanted = count_plainly(steps, n, now);
        if ((long)sum.hits != (long)wanted.hits ||
            (long)sum.queries != (long)wanted.queries)
            fail_msg("reading %d: %g of %g, not %g of %g", i, sum.hits, sum.queries,
                     wanted.hits, wanted.queries);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_story),
        cmocka_unit_test(test_sum_moves_on),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
