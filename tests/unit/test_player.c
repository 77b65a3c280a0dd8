// SPDX-License-Identifier: Apache-2.0
#include "recording/player.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define MS 1000000ULL
#define START (1000000 * MS)

enum { DOCUMENTS = 400, EVERY_MS = 500 };

static char path[] = "/tmp/vramscope-player-XXXXXX.gz";
static struct recording *recording;
static struct player *player;

/* Entry i has i as its number of documents skipped, and comes EVERY_MS after the other. */
static void record(const int64_t *unix_ms, size_t n)
{
    struct recording_writer *writer = NULL;
    struct complaint why = {""};

    assert_int_equal(recording_create(path, true, "", 0, &writer, &why), 0);
    for (size_t i = 0; i < n; i++) {
        struct recording_entry entry = {RECORDING_SKIPPED, unix_ms[i], {0}, {0}, i};

        assert_int_equal(recording_write(writer, &entry, &why), 0);
    }
    assert_int_equal(recording_close(writer, &why), 0);
}

static void record_evenly(size_t n)
{
    int64_t unix_ms[DOCUMENTS];

    for (size_t i = 0; i < n; i++)
        unix_ms[i] = 1790000000000 + (int64_t)i * EVERY_MS;
    record(unix_ms, n);
}

static void play(double speed, bool loop)
{
    struct player_options options = {.speed = speed, .loop = loop};
    struct complaint why = {""};

    assert_int_equal(recording_open(path, &recording, &why), 0);
    options.recording = recording;
    assert_int_equal(player_new(&options, &player), 0);
}

static void stop(void)
{
    player_free(player);
    recording_free(recording);
}

/* How many are due at `ms`, which must go on from `first`. */
static size_t take_all(uint64_t ms, size_t first)
{
    struct recording_entry entry;
    struct complaint why = {""};
    size_t n = 0;
    int r;

    while ((r = player_next(player, START + ms * MS, &entry, &why)) == 1)
        assert_int_equal(entry.skipped, first + n++);
    assert_int_equal(r, 0);
    return n;
}

static uint64_t wait_ms(uint64_t ms)
{
    uint64_t wait = player_wait_ns(player, START + ms * MS);

    return wait == UINT64_MAX ? wait : (wait + MS / 2) / MS;
}

static void test_pace(void **state)
{
    (void)state;
    record_evenly(4);
    play(1, false);
    assert_int_equal(take_all(0, 0), 1);
    assert_int_equal(wait_ms(0), 500);
    assert_int_equal(take_all(499, 1), 0);
    assert_int_equal(wait_ms(499), 1);
    assert_int_equal(take_all(500, 1), 1);
    assert_int_equal(take_all(1999, 2), 2); // late: what is due comes at once
    assert_true(player_ended(player));
    assert_int_equal(wait_ms(1999), UINT64_MAX);
    assert_int_equal(take_all(100000, 4), 0);
    stop();
}

/* Nobody oversleeps: after the wait, however it is rounded, the entry is due. */
static void test_wait_is_enough(void **state)
{
    static const double speeds[] = {0.01, 0.3, 1, 3, 7.77, 1000};

    (void)state;
    record_evenly(50);
    for (size_t i = 0; i < ARRAY_LEN(speeds); i++) {
        struct recording_entry entry;
        struct complaint why;
        uint64_t now = START;

        play(speeds[i], false);
        for (size_t n = 0; n < 50; n++) {
            int r = player_next(player, now, &entry, &why);

            if (r == 0) {
                now += player_wait_ns(player, now);
                r = player_next(player, now, &entry, &why);
            }
            assert_int_equal(r, 1);
            assert_int_equal(entry.skipped, n);
        }
        assert_true((double)(now - START) < 49 * 500 * (double)MS / speeds[i] + 100);
        stop();
    }
}

static void test_speed_and_hold(void **state)
{
    (void)state;
    record_evenly(200);
    play(10, false);
    assert_int_equal(take_all(0, 0), 1);
    assert_int_equal(take_all(100, 1), 2);
    player_speed(player, 0.5, START + 100 * MS); // five times from here
    assert_int_equal(wait_ms(100), 100);
    assert_int_equal(take_all(200, 3), 1);
    player_hold(player, true, START + 250 * MS);
    assert_int_equal(take_all(9000, 4), 0);
    assert_int_equal(wait_ms(9000), UINT64_MAX);
    player_hold(player, false, START + 9000 * MS);
    assert_int_equal(wait_ms(9000), 50);
    assert_int_equal(take_all(9050, 4), 1);
    player_speed(player, 1e9, START + 9050 * MS); // beyond what is possible: as it was
    player_speed(player, 1e-9, START + 9050 * MS);
    player_speed(player, -1, START + 9050 * MS);
    assert_int_equal(take_all(9149, 5), 0);
    assert_int_equal(take_all(9150, 5), 1);
    stop();
}

static void seek(int64_t by_ms, uint64_t ms)
{
    struct complaint why = {""};

    assert_int_equal(player_seek(player, by_ms, START + ms * MS, &why), 0);
}

static int64_t clock_ms(uint64_t ms)
{
    return player_unix_ms(player, START + ms * MS) - 1790000000000;
}

/* What time it is in the recording. */
static void test_clock(void **state)
{
    (void)state;
    record_evenly(100);
    play(4, false);
    assert_int_equal(take_all(0, 0), 1);
    assert_int_equal(clock_ms(0), 0);
    assert_int_equal(clock_ms(100), 400);
    assert_int_equal(take_all(250, 1), 2);
    assert_int_equal(clock_ms(250), 1000);
    player_hold(player, true, START + 300 * MS);
    assert_int_equal(clock_ms(9000), 1200);
    player_hold(player, false, START + 9000 * MS);
    seek(20000, 9000);
    assert_int_equal(take_all(9000, 3), 40);
    assert_int_equal(clock_ms(9000), 21200);
    seek(-20000, 9000);
    assert_int_equal(take_all(9000, 0), 3);
    assert_int_equal(clock_ms(9000), 1200);
    assert_int_equal(take_all(99000, 3), 97);
    assert_int_equal(clock_ms(999000), 49500); // it stands still at the end
    stop();
}

static void test_seek(void **state)
{
    struct recording_entry entry;
    struct complaint why;

    (void)state;
    record_evenly(DOCUMENTS);
    play(1, false);
    seek(10000, 0); // before it has begun
    assert_int_equal(take_all(0, 0), 1);
    seek(10000, 0);
    assert_int_equal(take_all(0, 1), 20);
    assert_int_equal(wait_ms(0), 500);
    seek(-7300, 0); // to 2.7 s: from the mark at 0 on
    assert_int_equal(take_all(0, 0), 6);
    assert_int_equal(wait_ms(0), 300);
    seek(150000, 0);
    assert_int_equal(take_all(0, 6), 300); // to 152.7 s: in the third minute's member
    seek(-10000, 0);                       // to 142.7 s; the mark at 140 s is before it
    assert_int_equal(take_all(0, 280), 6);
    player_hold(player, true, START);
    seek(-1000, 0); // held, the place is still shown
    assert_int_equal(take_all(0, 280), 4);
    player_hold(player, false, START);
    seek(-99999999, 0);
    assert_int_equal(take_all(0, 0), 1);
    seek(99999999, 0);
    assert_int_equal(take_all(0, 1), DOCUMENTS - 1);
    assert_true(player_ended(player));
    seek(-1000, 50000); // however long it has stood at the end
    assert_int_equal(player_next(player, START + 50000 * MS, &entry, &why), 1);
    assert_int_equal(entry.skipped, 390);
    assert_int_equal(take_all(50000, 391), 7);
    assert_false(player_ended(player));
    assert_int_equal(take_all(51000, 398), 2);
    stop();
}

/* A long recording has more places than are kept: going back is right all the same. */
static void test_many_marks(void **state)
{
    enum { N = 40000 };
    struct recording_entry entry;
    struct complaint why = {""};
    struct recording_writer *writer = NULL;
    int64_t last = -1;

    (void)state;
    assert_int_equal(recording_create(path, true, "", 0, &writer, &why), 0);
    for (int64_t i = 0; i < N; i++) {
        entry =
            (struct recording_entry){RECORDING_SKIPPED, i * 6000, {0}, {0}, (uint64_t)i};
        assert_int_equal(recording_write(writer, &entry, &why), 0);
    }
    assert_int_equal(recording_close(writer, &why), 0);
    play(1, false);
    assert_int_equal(take_all(0, 0), 1);
    assert_int_equal(take_all(N * 6000ULL, 1), N - 1);
    seek(-6000 * 30000LL, N * 6000ULL);
    while (player_next(player, START + N * 6000ULL * MS, &entry, &why) == 1) {
        assert_true(last < 0 ? entry.skipped >= 9990
                             : (int64_t)entry.skipped == last + 1);
        last = (int64_t)entry.skipped;
    }
    assert_int_equal(last, 9999);
    stop();
}

static void test_loop(void **state)
{
    (void)state;
    record_evenly(3);
    play(1, true);
    assert_int_equal(take_all(0, 0), 1);
    assert_int_equal(take_all(1000, 1), 2);
    assert_false(player_ended(player));
    assert_int_equal(wait_ms(1000), PLAYER_LOOP_PAUSE_MS);
    assert_int_equal(take_all(2000, 0), 1);
    assert_int_equal(take_all(3000, 1), 2);
    stop();

    record_evenly(0); // nothing to play does not spin
    play(1, true);
    assert_int_equal(take_all(0, 0), 0);
    assert_true(player_ended(player));
    stop();
}

/* Time that jumps: a night without entries is a minute, a clock set back is no wait. */
static void test_gaps(void **state)
{
    static const int64_t unix_ms[] = {5000, 5500, 40000000, 1000, 1500, 1500, 2000};

    (void)state;
    record(unix_ms, ARRAY_LEN(unix_ms));
    play(1, false);
    assert_int_equal(take_all(500, 0), 1); // it begins now
    assert_int_equal(wait_ms(500), 500);
    assert_int_equal(take_all(1000, 1), 1);
    assert_int_equal(wait_ms(1000), PLAYER_GAP_MAX_MS);
    assert_int_equal(take_all(61000, 2), 2);
    assert_int_equal(wait_ms(61000), 500);
    assert_int_equal(take_all(62000, 4), 3);
    seek(-99999999, 62000); // to an entry that is later than the last one by its clock
    assert_int_equal(take_all(62000, 0), 1);
    assert_int_equal(wait_ms(62000), 500);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pace),           cmocka_unit_test(test_wait_is_enough),
        cmocka_unit_test(test_speed_and_hold), cmocka_unit_test(test_clock),
        cmocka_unit_test(test_seek),           cmocka_unit_test(test_many_marks),
        cmocka_unit_test(test_loop),           cmocka_unit_test(test_gaps),
    };
    int fd = mkstemps(path, 3), failed;

    if (fd < 0)
        return 1;
    (void)close(fd);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(path);
    return failed;
}
