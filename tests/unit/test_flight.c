// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "history/flight.h"
#include "recording/recording.h"
#include "test_gpu_allocs.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define START INT64_C(1785421501000) // 2026-07-30T14:25:01Z
#define NAME "flight-20260730T142501Z-engine_lost"
#define PART ".flight.ndjson.gz.part"

enum { STEP_MS = 500, DOCUMENT_MAX = 64 * 1024 };

static char folder[] = "/tmp/vramscope-flight-XXXXXX";
static char path[PATH_MAX]; // of the recording written last
static struct complaint why;

static int fsync_error; // what a disk says that is full only now

int fsync(int fd)
{
    if (fsync_error) {
        errno = fsync_error;
        return -1;
    }
    return (int)syscall(SYS_fsync, fd);
}

/* ---- The folder ---- */

static const char *path_of(const char *name)
{
    static char full[PATH_MAX];

    (void)snprintf(full, sizeof(full), "%s/%s", folder, name);
    return full;
}

static void put_file(const char *name, off_t size)
{
    int fd = open(path_of(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, size), 0);
    assert_int_equal(close(fd), 0);
}

static bool is_there(const char *name)
{
    return access(path_of(name), F_OK) == 0;
}

/* How many names begin so; with "", how many there are. All of them may be removed. */
static size_t count_files(const char *begin, bool remove_them)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    size_t n = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            strncmp(entry->d_name, begin, strlen(begin)) != 0)
            continue;
        n++;
        if (remove_them)
            assert_int_equal(remove(path_of(entry->d_name)), 0);
    }
    (void)closedir(dir);
    return n;
}

/* ---- Documents: the i-th is known again ---- */

static const char hexadecimal[] = "0123456789abcdef";

/* `noise` of its bytes hardly compress. */
static struct span document(uint64_t i, size_t len, size_t noise)
{
    static char text[DOCUMENT_MAX];
    uint64_t dice = i * 2654435761 + 88172645463325252;
    size_t at = (size_t)snprintf(text, sizeof(text), "{\"seq\":%llu,\"x\":\"",
                                 (unsigned long long)i);

    for (; at < MIN(noise, len - 2); at++) {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        text[at] = hexadecimal[dice % 16];
    }
    for (; at < len - 2; at++)
        text[at] = hexadecimal[at % 16];
    text[at++] = '"';
    text[at++] = '}';
    return (struct span){text, at};
}

static struct span id_of(uint64_t i)
{
    static char text[32];

    (void)snprintf(text, sizeof(text), "eb6d-%llu", (unsigned long long)i);
    return span_of(text);
}

struct shape {
    size_t len, noise;
};

static const struct shape small = {100, 40};

static void add_document(struct flight *flight, uint64_t i, struct shape shape)
{
    flight_add(flight, START + (int64_t)i * STEP_MS, id_of(i),
               document(i, shape.len, shape.noise));
}

static int work(struct flight *flight, int64_t unix_ms)
{
    why.text[0] = '\0';
    return flight_work(flight, unix_ms, path, &why);
}

static struct flight *make_flight(void)
{
    struct flight *flight = NULL;

    assert_int_equal(flight_new(folder, &flight), 0);
    return flight;
}

/* Documents `*i` to `end`, with the work of each second: how many recordings. */
static int fly(struct flight *flight, uint64_t *i, uint64_t end, struct shape shape)
{
    int written = 0, r;

    for (; *i < end; (*i)++) {
        add_document(flight, *i, shape);
        if (*i % 2)
            continue;
        r = work(flight, START + (int64_t)*i * STEP_MS);
        assert_in_range(r, 0, 1);
        written += r;
    }
    return written;
}

/* What a recording holds: its documents are whole and follow each other. */
struct held {
    uint64_t first, last; // documents
    uint64_t documents, skipped, outages;
};

static struct held read_back(const char *name, struct shape shape)
{
    struct recording *recording = NULL;
    struct recording_entry entry;
    struct held held = {0};

    if (recording_open(name, &recording, &why) < 0)
        fail_msg("%s", why.text);
    while (recording_next(recording, &entry, &why) == 1) {
        uint64_t i = (uint64_t)(entry.unix_ms - START) / STEP_MS;
        struct span wanted = document(i, shape.len, shape.noise);

        held.skipped += entry.kind == RECORDING_SKIPPED ? entry.skipped : 0;
        held.outages += entry.kind == RECORDING_NO_DATA;
        if (entry.kind != RECORDING_DETAIL)
            continue;
        if (held.documents && i <= held.last)
            fail_msg("%llu after %llu", (unsigned long long)i,
                     (unsigned long long)held.last);
        assert_int_equal(entry.unix_ms, START + (int64_t)i * STEP_MS);
        assert_true(span_is(entry.id, id_of(i).at));
        assert_int_equal(entry.text.len, wanted.len);
        assert_memory_equal(entry.text.at, wanted.at, wanted.len);
        held.first = held.documents++ ? held.first : i;
        held.last = i;
    }
    assert_int_equal(recording_skipped_lines(recording), 0);
    recording_free(recording);
    return held;
}

/* ---- What came in is what is read ---- */

static void test_round_trip(void **state)
{
    struct flight *flight = make_flight();
    struct stat status;
    struct held held;
    uint64_t i = 0;

    (void)state;
    flight_alarm(flight, EVENT_ENGINE_LOST, START);
    assert_int_equal(fly(flight, &i, 20, small), 0);
    assert_int_equal(count_files("", false), 0);
    flight_add_outage(flight, START + 20 * STEP_MS - 1, "no \"driver\"");
    assert_int_equal(fly(flight, &i, 21, small), 1); // ten seconds later
    assert_string_equal(path, path_of(NAME ".ndjson.gz"));
    assert_int_equal(count_files("", false), 1);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0640);
    held = read_back(path, small);
    assert_int_equal(held.first, 0);
    assert_int_equal(held.documents, 21);
    assert_int_equal(held.outages, 1);
    assert_int_equal(held.skipped, 0);
    assert_int_equal(fly(flight, &i, 400, small), 0); // once, and no more
    flight_alarm(flight, EVENT_GPU_LOST, START + 400 * STEP_MS);
    assert_int_equal(fly(flight, &i, 430, small), 1);
    held = read_back(path, small); // what was written before is in it, too
    assert_int_equal(held.first, 0);
    assert_int_equal(held.last, 420);
    assert_int_equal(held.documents, 421);
    flight_free(flight);
}

/* From five minutes before, and the rest of a member, wherever in one the alarm is. */
static void check_how_far_back(uint64_t alarm)
{
    struct flight *flight = make_flight();
    uint64_t i = 0;
    struct held held;

    (void)fly(flight, &i, alarm, small);
    flight_alarm(flight, EVENT_ENGINE_LOST, START + (int64_t)alarm * STEP_MS);
    assert_int_equal(fly(flight, &i, alarm + 30, small), 1);
    held = read_back(path, small);
    assert_int_equal(held.last - held.first + 1, held.documents);
    assert_int_equal(held.last, alarm + FLIGHT_AFTER_MS / STEP_MS);
    assert_in_range((alarm - held.first) * STEP_MS, FLIGHT_BEFORE_MS,
                    FLIGHT_BEFORE_MS + 15 * 1000);
    flight_free(flight);
}

static void test_how_far_back(void **state)
{
    (void)state;
    for (uint64_t seconds = 600; seconds < 616; seconds += 2)
        check_how_far_back(seconds * 1000 / STEP_MS);
}

/* A day forward and back again: what was put down before is still there. */
static void test_clock_is_set(void **state)
{
    const int64_t times[] = {START, START + 86400000, START + 1000, START + 1500};
    struct flight *flight = make_flight();
    struct recording *recording = NULL;
    struct recording_entry entry;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(times); i++)
        flight_add(flight, times[i], id_of(i), span_of("{}"));
    flight_alarm(flight, EVENT_ENGINE_LOST, START);
    assert_int_equal(work(flight, START + 10000), 1);
    assert_int_equal(recording_open(path, &recording, &why), 0);
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        assert_int_equal(recording_next(recording, &entry, &why), 1);
        assert_int_equal(entry.unix_ms, times[i]);
    }
    assert_int_equal(recording_next(recording, &entry, &why), 0);
    recording_free(recording);
    flight_free(flight);
}

/* ---- What it may hold ---- */

/* Ten minutes of the documents of a large host; the less they compress, the fewer. */
static void check_budget(struct shape shape, uint64_t least, uint64_t most)
{
    const uint64_t a_minute = (FLIGHT_PAUSE_MS + 1000) / STEP_MS;
    struct flight *flight = make_flight();
    uint64_t i = 0;
    struct held held;

    for (uint64_t minute = 1; minute <= 10; minute++) {
        struct stat status;

        flight_alarm(flight, EVENT_ENGINE_LOST, START + (int64_t)i * STEP_MS);
        assert_int_equal(fly(flight, &i, minute * a_minute, shape), 1);
        assert_int_equal(stat(path, &status), 0);
        assert_in_range(status.st_size, 1, FLIGHT_BYTES + 1024);
        held = read_back(path, shape);
        assert_int_equal(held.last - held.first + 1, held.documents);
        assert_int_equal(held.skipped, 0);
    }
    assert_in_range(held.documents, least, most);
    flight_free(flight);
    (void)count_files("", true);
}

static void test_budget(void **state)
{
    (void)state;
    check_budget((struct shape){40000, 2000}, 600, 660);
    check_budget((struct shape){40000, 40000}, 80, 105);
}

static void assert_next(struct recording *recording, enum recording_kind kind, uint64_t i)
{
    struct recording_entry entry;

    assert_int_equal(recording_next(recording, &entry, &why), 1);
    assert_int_equal(entry.kind, kind);
    if (kind == RECORDING_SKIPPED)
        assert_int_equal(entry.skipped, i);
    if (kind == RECORDING_DETAIL)
        assert_true(span_is(entry.id, id_of(i).at));
}

/* However much comes in: that some was left out always fits behind it. */
static void test_full_to_the_brim(void **state)
{
    const size_t left = 1024; // by the first one, about
    static char bytes[FLIGHT_PENDING_BYTES];

    (void)state;
    for (size_t spared = 0; spared < 256; spared++) {
        struct flight *flight = make_flight();

        flight_add(flight, START, id_of(0), (struct span){bytes, sizeof(bytes) - left});
        flight_add(flight, START, id_of(1), (struct span){bytes, sizeof(bytes)});
        flight_add(flight, START, id_of(2), (struct span){bytes, left - spared});
        flight_add(flight, START, id_of(3), (struct span){bytes, sizeof(bytes)});
        assert_int_equal(work(flight, START), 0);
        flight_free(flight);
    }
}

/* Where the work is not done for a while, and where a document is none. */
static void test_left_out(void **state)
{
    const struct shape large = {40000, 0};
    struct flight *flight = make_flight();
    struct recording *recording = NULL;
    struct recording_entry entry;

    (void)state;
    for (uint64_t i = 0; i < 30; i++)
        add_document(flight, i, large);
    add_document(flight, 30, small); // for which there is room again
    flight_add(flight, START + 31 * STEP_MS, id_of(31), (struct span){folder, SIZE_MAX});
    flight_add(flight, START + 31 * STEP_MS, id_of(31),
               (struct span){folder, FLIGHT_PENDING_BYTES});
    assert_int_equal(work(flight, START), 0);
    flight_add(flight, START, id_of(32), span_of("{\"a\":\n1}"));
    flight_add(flight, -1, id_of(33), span_of("{}")); // not even that it is left out
    add_document(flight, 34, small);
    flight_alarm(flight, EVENT_ENGINE_LOST, START);
    assert_int_equal(work(flight, START + 10000), 1);

    assert_int_equal(recording_open(path, &recording, &why), 0);
    for (uint64_t i = 0; i < 26; i++)
        assert_next(recording, RECORDING_DETAIL, i);
    assert_next(recording, RECORDING_SKIPPED, 4);
    assert_next(recording, RECORDING_DETAIL, 30);
    assert_next(recording, RECORDING_SKIPPED, 2);
    assert_next(recording, RECORDING_SKIPPED, 1);
    assert_next(recording, RECORDING_DETAIL, 34);
    assert_int_equal(recording_next(recording, &entry, &why), 0);
    assert_int_equal(recording_skipped_lines(recording), 0);
    recording_free(recording);
    flight_free(flight);
}

static void test_tick_allocates_nothing(void **state)
{
    struct flight *flight = make_flight();
    unsigned before = allocs;

    (void)state;
    for (uint64_t i = 0; i < 50; i++)
        add_document(flight, i, (struct shape){40000, 0});
    flight_add_outage(flight, START, "no driver");
    flight_alarm(flight, EVENT_GPU_LOST, START);
    assert_int_equal(allocs, before);
    flight_free(flight);
}

/* ---- When it is written ---- */

static const struct {
    const char *row;
    int64_t alarm_ms, work_ms; // after START
    int r;
} dues[] = {
    {"a moment before", 0, 9999, 0},
    {"in time", 0, 10000, 1},
    {"long after", 0, 86400000, 1},
    {"the clock was read before the alarm", 5, 0, 0},
    {"the clock was set back a little", 9000, 0, 0},
    {"the clock was set back", 10001, 0, 1},
};

static void test_due(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(dues); i++) {
        struct flight *flight = make_flight();

        add_document(flight, 0, small);
        assert_int_equal(work(flight, START + dues[i].work_ms),
                         0); // nothing has happened
        flight_alarm(flight, EVENT_ENGINE_LOST, START + dues[i].alarm_ms);
        if (work(flight, START + dues[i].work_ms) != dues[i].r)
            fail_msg("[%s]", dues[i].row);
        flight_free(flight);
    }
}

/* Who ends waits neither for what follows nor for a pause; without an alarm there is none. */
static void test_at_the_end(void **state)
{
    struct flight *flight = make_flight();
    struct held held;
    uint64_t i = 0;

    (void)state;
    assert_int_equal(fly(flight, &i, 10, small), 0);
    assert_int_equal(flight_end(flight, START + 10 * STEP_MS, path, &why), 0);
    assert_int_equal(count_files("", false), 0);
    for (int k = 1; k <= 2; k++) {
        flight_alarm(flight, EVENT_ENGINE_LOST, START + (int64_t)i * STEP_MS);
        add_document(flight, i++, small); // not compressed yet
        assert_int_equal(flight_end(flight, START + (int64_t)i * STEP_MS, path, &why), 1);
        assert_int_equal(count_files("", false), k);
        held = read_back(path, small);
        assert_int_equal(held.first, 0);
        assert_int_equal(held.documents, i);
        assert_int_equal(flight_end(flight, START + (int64_t)i * STEP_MS, path, &why), 0);
    }
    flight_free(flight);
}

/* An engine that is lost and comes back each second makes a file a minute. */
static void test_joins(void **state)
{
    struct flight *flight = make_flight();
    int written = 0;

    (void)state;
    for (uint64_t i = 0; i < 5 * 120; i++) {
        int64_t now_ms = START + (int64_t)i * STEP_MS;

        add_document(flight, i, small);
        flight_alarm(flight, i % 2 ? EVENT_GPU_LOST : EVENT_ENGINE_LOST, now_ms);
        written += work(flight, now_ms);
    }
    assert_int_equal(written, 5);
    assert_int_equal(count_files("", false), 5);
    assert_true(is_there(NAME ".ndjson.gz")); // the first of those that joined
    flight_free(flight);
}

static void test_nothing_came_in(void **state)
{
    struct flight *flight = make_flight();

    (void)state;
    flight_alarm(flight, EVENT_ENGINE_LOST, START);
    assert_int_equal(work(flight, START + 10000), 0);
    assert_int_equal(count_files("", false), 0);
    flight_free(flight);
    flight_free(NULL);
}

/* ---- Disks ---- */

static void write_one(struct flight *flight, int64_t at_ms, int wanted)
{
    flight_alarm(flight, EVENT_ENGINE_LOST, at_ms);
    assert_int_equal(work(flight, at_ms + FLIGHT_AFTER_MS), wanted);
}

/* A full disk is told; what is in memory stays there for the next time. */
static void test_full_disk(void **state)
{
    const struct rlimit tight = {20000, RLIM_INFINITY},
                        any = {RLIM_INFINITY, RLIM_INFINITY};
    const struct shape shape = {1000, 1000};
    struct flight *flight = make_flight();
    uint64_t i = 0;

    (void)state;
    (void)signal(SIGXFSZ, SIG_IGN);
    (void)fly(flight, &i, 100, shape);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    write_one(flight, START + 50000, -EFBIG);
    assert_non_null(strstr(why.text, folder));
    assert_non_null(strstr(why.text, "\"engine_lost\" cannot be kept: File too large"));
    assert_int_equal(count_files("", false), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &any), 0);
    assert_int_equal(work(flight, START + 300000), 0); // it was given up
    fsync_error = ENOSPC;
    write_one(flight, START + 150000, -ENOSPC);
    fsync_error = 0;
    assert_int_equal(count_files("", false), 0);
    write_one(flight, START + 250000, 1);
    assert_int_equal(read_back(path, shape).documents, 100);
    assert_int_equal(count_files("", false), 1);
    flight_free(flight);
}

/* A failure has its pause, too: not one complaint a second. */
static void test_pause_after_failure(void **state)
{
    struct flight *flight = make_flight();
    int failed = 0;

    (void)state;
    fsync_error = EIO;
    for (uint64_t i = 0; i < 240; i++) {
        int64_t now_ms = START + (int64_t)i * STEP_MS;

        add_document(flight, i, small);
        flight_alarm(flight, EVENT_ENGINE_LOST, now_ms);
        failed += work(flight, now_ms) == -EIO;
    }
    fsync_error = 0;
    assert_int_equal(failed, 2);
    assert_int_equal(count_files("", false), 0);
    flight_free(flight);
}

/* What a crash left half written goes, and nothing else. */
static void test_torn_file(void **state)
{
    struct flight *flight;

    (void)state;
    put_file(PART, 100);
    put_file("history.db", 100);
    put_file(NAME ".ndjson.gz", 100);
    flight = make_flight();
    assert_false(is_there(PART));
    assert_int_equal(count_files("", false), 2);
    put_file(PART, 100); // meanwhile, by whomever
    add_document(flight, 0, small);
    write_one(flight, START + 100000, 1);
    assert_int_equal(read_back(path, small).documents, 1);
    assert_false(is_there(PART));
    assert_int_equal(count_files("", false), 3);
    flight_free(flight);
}

static void test_no_folder(void **state)
{
    struct flight *flight = NULL;

    (void)state;
    assert_int_equal(flight_new("/tmp/vramscope-no-such/folder", &flight), -ENOENT);
    put_file("file", 0);
    assert_int_equal(flight_new(path_of("file"), &flight), -ENOTDIR);
    assert_null(flight);
}

static void test_same_name(void **state)
{
    (void)state;
    for (int i = 1; i <= 3; i++) {
        static const char *const names[] = {NAME ".ndjson.gz", NAME "-2.ndjson.gz",
                                            NAME "-3.ndjson.gz"};
        struct flight *flight = make_flight();

        add_document(flight, 0, small);
        write_one(flight, START, 1);
        assert_string_equal(path, path_of(names[i - 1]));
        assert_int_equal(count_files("", false), i);
        flight_free(flight);
    }
}

/* Names that are not exactly ours; each of them would be the oldest. */
static const char *const strange[] = {
    "flight-00000000T000000Z-.ndjson",
    "flight-00000000T000000Z-engine_lost.ndjson.gz.old",
    "flight-00000000T000000Z-Engine.ndjson.gz",
    "flight-00000000T00000Z-engine_lost.ndjson.gz",
    "flight-0000000aT000000Z-engine_lost.ndjson.gz",
    "flight-00000000T000000Z engine_lost.ndjson.gz",
    "a-flight-00000000T000000Z-engine_lost.ndjson.gz",
    "flight-.ndjson.gz",
    "my-recording.ndjson.gz",
};

static void put_strangers(void)
{
    for (size_t i = 0; i < ARRAY_LEN(strange); i++)
        put_file(strange[i], FLIGHT_FILES_BYTES);
    assert_int_equal(mkdir(path_of("flight-00000000T000000Z-dir.ndjson.gz"), 0700), 0);
}

static void assert_strangers(void)
{
    for (size_t i = 0; i < ARRAY_LEN(strange); i++)
        if (!is_there(strange[i]))
            fail_msg("%s is gone", strange[i]);
    assert_true(is_there("flight-00000000T000000Z-dir.ndjson.gz"));
}

static void put_old_files(int n, off_t size)
{
    char name[64];

    for (int i = 0; i < n; i++) {
        (void)snprintf(name, sizeof(name), "flight-2026072%dT00000%dZ-gpu_lost.ndjson.gz",
                       i / 10, i % 10);
        put_file(name, size);
    }
}

static void test_number_of_files(void **state)
{
    struct flight *flight;

    (void)state;
    put_strangers();
    put_old_files(25, 10);
    flight = make_flight();
    add_document(flight, 0, small);
    write_one(flight, START, 1);
    assert_int_equal(count_files("flight-2026", false), FLIGHT_FILES_MAX);
    assert_false(is_there("flight-20260720T000005Z-gpu_lost.ndjson.gz"));
    assert_true(is_there("flight-20260720T000006Z-gpu_lost.ndjson.gz"));
    write_one(flight, START - INT64_C(30) * 86400000, 1); // the clock was set back
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(count_files("flight-2026", false), FLIGHT_FILES_MAX);
    assert_false(is_there("flight-20260720T000006Z-gpu_lost.ndjson.gz"));
    assert_strangers();
    flight_free(flight);
}

static void test_bytes_of_files(void **state)
{
    struct flight *flight;

    (void)state;
    put_strangers();
    put_old_files(4, FLIGHT_FILES_BYTES / 4); // of holes
    flight = make_flight();
    add_document(flight, 0, small);
    write_one(flight, START, 1);
    assert_int_equal(count_files("flight-2026", false), 4);
    assert_false(is_there("flight-20260720T000000Z-gpu_lost.ndjson.gz"));
    assert_true(is_there(NAME ".ndjson.gz"));
    assert_strangers();
    flight_free(flight);
}

/* ---- Two threads ---- */

enum { FLOWN = 3000 };

struct crew {
    struct flight *flight;
    int written;
    bool landed;
};

static void *work_on(void *ctx)
{
    struct crew *crew = ctx;
    struct complaint complaint;
    char name[PATH_MAX];
    int64_t now_ms = START;

    while (!__atomic_load_n(&crew->landed, __ATOMIC_ACQUIRE)) {
        int r = flight_work(crew->flight, now_ms, name, &complaint);

        crew->written += r;
        now_ms += 1000;
    }
    return NULL;
}

static void test_threads(void **state)
{
    struct crew crew = {.flight = make_flight()};
    struct recording *recording = NULL;
    struct recording_entry entry;
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, work_on, &crew), 0);
    for (uint64_t i = 0; i < FLOWN; i++) {
        flight_add(crew.flight, START + (int64_t)i, id_of(i), span_of("{}"));
        if (i % 500 == 0)
            flight_alarm(crew.flight, EVENT_ENGINE_LOST, START + (int64_t)i);
    }
    __atomic_store_n(&crew.landed, true, __ATOMIC_RELEASE);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(crew.written >= 0);
    flight_alarm(crew.flight, EVENT_ENGINE_LOST, INT64_C(1) << 50);
    assert_int_equal(work(crew.flight, START + (INT64_C(1) << 50)), 1);
    assert_int_equal(recording_open(path, &recording, &why), 0);
    for (uint64_t i = 0; i < FLOWN; i++)
        assert_next(recording, RECORDING_DETAIL, i);
    assert_int_equal(recording_next(recording, &entry, &why), 0);
    recording_free(recording);
    flight_free(crew.flight);
}

static int tidy(void **state)
{
    (void)state;
    (void)count_files("", true);
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(folder);
}

#define TIDY(test) cmocka_unit_test_teardown(test, tidy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TIDY(test_round_trip),
        TIDY(test_how_far_back),
        TIDY(test_clock_is_set),
        TIDY(test_budget),
        TIDY(test_full_to_the_brim),
        TIDY(test_left_out),
        TIDY(test_tick_allocates_nothing),
        TIDY(test_due),
        TIDY(test_at_the_end),
        TIDY(test_joins),
        TIDY(test_nothing_came_in),
        TIDY(test_full_disk),
        TIDY(test_pause_after_failure),
        TIDY(test_torn_file),
        TIDY(test_no_folder),
        TIDY(test_same_name),
        TIDY(test_number_of_files),
        TIDY(test_bytes_of_files),
        TIDY(test_threads),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
