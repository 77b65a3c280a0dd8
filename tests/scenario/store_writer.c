// SPDX-License-Identifier: Apache-2.0
/*
 * Writes batches into a store as fast as it takes them, from where it ends: ten moments of
 * a host with three models, and an event. After each commit it says what was committed:
 * the time of the last moment. Figures follow from the time, so that who reads can tell.
 * STORE_WRITER_ROOM=N: no file may be larger than N bytes, until that has made three
 * batches fail. STORE_WRITER_KILL=N: of the N-th write to a file half is done, and then
 * the program kills itself.
 */
#include "history/store.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

enum { MODELS = 3, MOMENTS = 10, STEP_MS = 500, FAILURES = 3 };

#define START_MS INT64_C(1790000000000)

static struct past *past;
static struct past_moment moment; // with the numbers of the models

static long writes_left;

/* A kill takes nothing from the kernel: the disk need not be waited for. */
__attribute__((visibility("default"))) int fdatasync(int fd)
{
    (void)fd;
    return 0;
}

static ssize_t write_half(int fd, const void *bytes, size_t n, off64_t at)
{
    if (--writes_left > 0)
        return pwrite64(fd, bytes, n, at);
    if (pwrite64(fd, bytes, n / 2, at) >= 0)
        (void)raise(SIGKILL);
    return -1;
}

static void kill_at_write(const char *number)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

    writes_left = number ? strtol(number, NULL, 10) : 0;
    if (writes_left > 0 && vfs)
        (void)vfs->xSetSystemCall(vfs, "pwrite64", (sqlite3_syscall_ptr)write_half);
}

static int set_up_past(void)
{
    struct snapshot_pool *pool = NULL;
    struct past_reader *reader = NULL;
    const struct past_moment *read;
    struct snapshot *snapshot;

    if (past_new(PAST_BYTES, &past) < 0 || snapshot_pool_new(&pool) < 0)
        return -ENOMEM;
    snapshot = snapshot_new(pool);
    if (!snapshot)
        return -ENOMEM;
    snapshot->taken_ns = 1;
    for (; snapshot->n_models < MODELS; snapshot->n_models++) {
        struct snapshot_model *model = &snapshot->models[snapshot->n_models];

        (void)snprintf(model->served_name, sizeof(model->served_name), "org/model %u",
                       snapshot->n_models);
        snapshot_make_id(model->served_name, model->id);
        model->port = (uint16_t)(8000 + snapshot->n_models);
    }
    past_add(past, snapshot);
    snapshot_unref(snapshot);
    snapshot_pool_free(pool);
    if (past_reader_new(past, &reader) < 0)
        return -ENOMEM;
    past_reader_seek(reader, 0);
    read = past_reader_next(reader);
    if (read)
        moment = *read;
    past_reader_free(reader);
    return read ? 0 : -EIO;
}

static int write_batch(struct store *store, int64_t from_ms)
{
    struct event event = {.id = store_newest_event(store) + 1,
                          .unix_ms = from_ms,
                          .kind = EVENT_ENGINE_LOST,
                          .text = "lost"};
    int r = 0;

    for (int64_t i = 0; r == 0 && i < MOMENTS; i++) {
        moment.unix_ms = from_ms + i * STEP_MS;
        for (uint32_t k = 0; k < moment.n_rows; k++)
            for (uint64_t f = 0; f < PAST_FIGURES; f++)
                moment.rows[k].figures[f] =
                    ((uint64_t)moment.unix_ms / STEP_MS + k + f) % 100000;
        r = store_add_moment(store, past, &moment);
    }
    if (r == 0)
        r = store_add_event(store, &event);
    if (r == 0)
        r = store_commit(store);
    if (r < 0)
        store_roll_back(store);
    return r;
}

static int limit_files(rlim_t bytes)
{
    const struct rlimit limit = {bytes, RLIM_INFINITY};

    return setrlimit(RLIMIT_FSIZE, &limit) < 0 ? neg_errno() : 0;
}

/* What was committed is told at once: who reads may kill us next. */
static void tell(const char *what, int64_t number)
{
    (void)printf("%s %lld\n", what, (long long)number);
    (void)fflush(stdout);
}

static int write_all_batches(struct store *store)
{
    int64_t next_ms = store_newest_ms(store) + STEP_MS;
    int failures = 0, r = 0;

    if (next_ms < START_MS)
        next_ms = START_MS;
    for (int i = 0;; i++) {
        r = write_batch(store, next_ms);
        if (r == -ENOSPC && failures < FAILURES) {
            tell("full", next_ms);
            failures++;
            r = failures == FAILURES ? limit_files(RLIM_INFINITY) : 0;
            if (r == 0)
                continue;
        }
        if (r < 0)
            return r;
        next_ms += (int64_t)MOMENTS * STEP_MS;
        tell("committed", next_ms - STEP_MS);
        r = i % 4 == 0 ? store_trim(store, next_ms) : 0;
        if (r < 0 && r != -ENOSPC)
            return r;
    }
}

int main(int argc, char **argv)
{
    const struct store_limits limits = {20 * 60 * 1000, 3600 * 1000, 3600 * 1000,
                                        3 << 20};
    const char *room = getenv("STORE_WRITER_ROOM");
    struct complaint complaint;
    struct store *store = NULL;
    int r;

    if (argc < 2 || set_up_past() < 0)
        return 2;
    (void)signal(SIGXFSZ, SIG_IGN); // the call fails instead
    kill_at_write(getenv("STORE_WRITER_KILL"));
    r = store_open(argv[1], &limits, &store, &complaint);
    if (complaint.text[0])
        (void)printf("complaint %s\n", complaint.text);
    if (r < 0)
        return 1;
    r = room ? limit_files((rlim_t)strtoul(room, NULL, 10)) : 0;
    if (r == 0)
        r = write_all_batches(store);
    tell("failed", r);
    store_close(store);
    past_free(past);
    return 1;
}
