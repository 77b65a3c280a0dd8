// SPDX-License-Identifier: Apache-2.0
#include "history/historian_parts.h"

#include "base/clock.h"
#include "base/confine.h"
#include "base/log.h"
#include "base/thread.h"

#include <signal.h>
#include <sys/resource.h>
#include <time.h>

enum {
    WORK_MS = 5 * 1000,  // between two looks at what is to be done
    MORE_MS = 50,        // between two pieces of longer work
    FLIGHT_MOMENTS = 10, // whose documents wait to be compressed
    READY_MS = 2 * 1000, // a disk that takes longer is not waited for
    NICE = 10,
    STACK_BYTES = 512 * 1024,
};

int64_t historian_unix_ms(void)
{
    return (int64_t)clock_unix_ms();
}

/* Of this thread alone: it needs one folder, and the others must not have it. */
static int give_up_rights(const struct historian_options *options)
{
    const struct confine_options rights = {
        .rights = CONFINE_DROP,
        .write_files = options->path != NULL,
        .landlock = true,
        .write_below = options->path ? options->folder : NULL,
        .this_thread = true,
    };
    struct complaint complaint = {""};
    int r = options->confine ? confine(&rights, &complaint) : 0;

    if (r < 0)
        log_warning("history: %s; it is kept in memory alone. --no-confine goes without",
                    complaint.text);
    else if (r > 0)
        log_debug("history is confined as far as can be: %s", complaint.text);
    return r;
}

/* At the end of all, what there is has to do. */
static void record_flight(struct historian *historian, bool at_end)
{
    struct flight *flight = historian->options.flight;
    struct complaint complaint = {""};
    char path[4096] = "";
    int r;

    if (!flight) {
        historian->flight_ns = UINT64_MAX;
        return;
    }
    historian->flight_ns =
        clock_now_ns() +
        MIN(FLIGHT_MOMENTS * historian->options.interval_ms, (uint64_t)WORK_MS) *
            NS_PER_MS;
    r = at_end ? flight_end(flight, historian_unix_ms(), path, &complaint)
               : flight_work(flight, historian_unix_ms(), path, &complaint);
    if (r > 0)
        log_info("what came before was recorded: %s", path);
    else if (r < 0)
        log_warning("the minutes before could not be recorded: %s", complaint.text);
}

/* What is due, and when to look again. */
static void work(struct historian *historian)
{
    bool more;

    if (clock_now_ns() >= historian->write_ns) {
        historian->write_ns = clock_now_ns() + WORK_MS * NS_PER_MS;
        if (disk_is_due(historian))
            disk_write(historian);
    }
    if (clock_now_ns() >= historian->flight_ns)
        record_flight(historian, false);
    more = disk_trim(historian);
    more = observe(historian) || more;
    historian->work_ns = more ? clock_now_ns() + MORE_MS * NS_PER_MS
                              : MIN(historian->write_ns, historian->flight_ns);
}

static void wait_until(struct historian *historian, uint64_t until_ns)
{
    struct timespec until = {.tv_sec = (time_t)(until_ns / (1000 * NS_PER_MS)),
                             .tv_nsec = (long)(until_ns % (1000 * NS_PER_MS))};

    (void)pthread_cond_timedwait(&historian->changed, &historian->lock, &until);
}

/* With the lock held, but while something is done. */
static void run_until_stopped(struct historian *historian)
{
    while (!historian->stopping) {
        bool served = requests_serve(historian);

        if (clock_now_ns() >= historian->work_ns) {
            (void)pthread_mutex_unlock(&historian->lock);
            work(historian);
            (void)pthread_mutex_lock(&historian->lock);
        } else if (!served) {
            wait_until(historian, historian->work_ns);
        }
    }
    requests_fail(historian);
}

/* They are the loop's. */
static void block_signals(void)
{
    sigset_t all;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, NULL);
}

static void *run(void *ctx)
{
    struct historian *historian = ctx;

    (void)pthread_setname_np(pthread_self(), "historian");
    block_signals();
    (void)setpriority(PRIO_PROCESS, 0, NICE); // of this thread: a tick goes before
    if (give_up_rights(&historian->options) < 0)
        historian->disk.is_used = false;
    disk_begin(historian);
    historian->work_ns = historian->write_ns = clock_now_ns() + WORK_MS * NS_PER_MS;
    (void)pthread_mutex_lock(&historian->lock);
    historian->is_ready = true;
    (void)pthread_cond_broadcast(&historian->changed);
    run_until_stopped(historian);
    (void)pthread_mutex_unlock(&historian->lock);

    record_flight(historian, true);
    disk_end(historian);
    (void)pthread_mutex_lock(&historian->lock);
    historian->ended = true;
    (void)pthread_mutex_unlock(&historian->lock);
    return NULL;
}

static void wait_until_ready(struct historian *historian)
{
    uint64_t until_ns = clock_now_ns() + READY_MS * NS_PER_MS;

    (void)pthread_mutex_lock(&historian->lock);
    while (!historian->is_ready && clock_now_ns() < until_ns)
        wait_until(historian, until_ns);
    historian->is_late = !historian->is_ready;
    if (historian->is_late)
        log_warning("history: %s does not open in time; not waiting for it",
                    historian->options.path);
    (void)pthread_mutex_unlock(&historian->lock);
}

static void release(struct historian *historian)
{
    past_reader_free(historian->disk.reader);
    observing_done(&historian->observing);
    (void)pthread_cond_destroy(&historian->changed);
    (void)pthread_mutex_destroy(&historian->lock);
    free(historian);
}

int historian_new(const struct historian_options *options, struct historian **ret)
{
    struct historian *historian = calloc(1, sizeof(*historian));
    int r;

    if (!historian)
        return -ENOMEM;
    historian->options = *options;
    historian->disk.is_used = options->path != NULL;
    thread_init_lock(&historian->lock, &historian->changed);
    r = past_reader_new(options->past, &historian->disk.reader);
    if (r == 0)
        r = observing_init(&historian->observing, options->past);
    if (r == 0)
        r = thread_start(&historian->thread, STACK_BYTES, run, historian);
    if (r < 0) {
        release(historian);
        return r;
    }
    wait_until_ready(historian);
    *ret = historian;
    return 0;
}

void historian_stop(struct historian *historian)
{
    if (!historian)
        return;
    (void)pthread_mutex_lock(&historian->lock);
    historian->stopping = true;
    (void)pthread_cond_broadcast(&historian->changed);
    (void)pthread_mutex_unlock(&historian->lock);
}

bool historian_ended(struct historian *historian)
{
    bool ended = true;

    if (!historian)
        return true;
    (void)pthread_mutex_lock(&historian->lock);
    ended = historian->ended;
    (void)pthread_mutex_unlock(&historian->lock);
    return ended;
}

void historian_free(struct historian *historian)
{
    if (!historian)
        return;
    (void)pthread_join(historian->thread, NULL);
    release(historian);
}

uint64_t historian_errors(struct historian *historian)
{
    return historian && historian->disk.is_used ? historian->disk.errors : UNKNOWN;
}

size_t historian_observations(struct historian *historian, struct observation *ret,
                              size_t max)
{
    size_t n;

    (void)pthread_mutex_lock(&historian->lock);
    n = MIN(max, historian->n_observations);
    memcpy(ret, historian->observations, n * sizeof(*ret));
    (void)pthread_mutex_unlock(&historian->lock);
    return n;
}
