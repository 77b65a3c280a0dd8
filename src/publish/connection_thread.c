// SPDX-License-Identifier: Apache-2.0
#include "base/confine.h"
#include "base/log.h"
#include "base/thread.h"
#include "publish/connection_parts.h"

#include <signal.h>

enum { STACK_BYTES = 256 * 1024 };

void connection_thread_init(struct connection_thread *thread)
{
    thread_init_lock(&thread->lock, &thread->changed);
}

void connection_thread_done(struct connection_thread *thread)
{
    (void)pthread_cond_destroy(&thread->changed);
    (void)pthread_mutex_destroy(&thread->lock);
}

/* Of this thread, and of those that the library will start from it. */
static bool give_up_rights(const struct connection_thread *thread)
{
    static const struct confine_options rights = {
        .rights = CONFINE_DROP,
        .families = CONFINE_UNIX | CONFINE_INET,
        .this_thread = true,
    };
    struct complaint complaint = {""};
    int r = thread->confine ? confine(&rights, &complaint) : 0;

    if (r < 0)
        log_warning("nats: %s; there is no %s. --no-confine goes without", complaint.text,
                    thread->name);
    return r >= 0;
}

static void block_signals(void)
{
    sigset_t all;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, NULL);
}

static void *run(void *ctx)
{
    struct connection_thread *thread = ctx;

    (void)pthread_setname_np(pthread_self(), thread->name);
    block_signals();
    if (give_up_rights(thread))
        thread->run(thread->ctx);
    nats_library_end(&thread->library);
    (void)pthread_mutex_lock(&thread->lock);
    thread->ended = true;
    (void)pthread_mutex_unlock(&thread->lock);
    return NULL;
}

int connection_thread_start(struct connection_thread *thread, struct complaint *complaint)
{
    int r = nats_library_load(&thread->library, complaint);

    if (r < 0)
        return r;
    r = thread_start(&thread->thread, STACK_BYTES, run, thread);
    if (r == 0)
        return 0;
    nats_library_end(&thread->library);
    return complain(complaint, r, "cannot start the %s: %s", thread->name, strerror(-r));
}

void connection_thread_stop(struct connection_thread *thread)
{
    (void)pthread_mutex_lock(&thread->lock);
    thread->stopping = true;
    (void)pthread_cond_signal(&thread->changed);
    (void)pthread_mutex_unlock(&thread->lock);
}

static bool read_locked(struct connection_thread *thread, const bool *flag)
{
    bool value;

    (void)pthread_mutex_lock(&thread->lock);
    value = *flag;
    (void)pthread_mutex_unlock(&thread->lock);
    return value;
}

bool connection_thread_is_stopping(struct connection_thread *thread)
{
    return read_locked(thread, &thread->stopping);
}

bool connection_thread_ended(struct connection_thread *thread)
{
    return read_locked(thread, &thread->ended);
}

void connection_thread_join(struct connection_thread *thread)
{
    (void)pthread_join(thread->thread, NULL);
}

bool connection_thread_wait(struct connection_thread *thread, uint64_t until_ns,
                            const bool *news)
{
    struct timespec until = {.tv_sec = (time_t)(until_ns / (1000 * NS_PER_MS)),
                             .tv_nsec = (long)(until_ns % (1000 * NS_PER_MS))};
    int error = 0;

    while (!thread->stopping && !(news && *news) && !error)
        error = pthread_cond_timedwait(&thread->changed, &thread->lock, &until);
    return !thread->stopping;
}
