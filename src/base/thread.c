// SPDX-License-Identifier: Apache-2.0
#include "base/thread.h"

#include <time.h>

int thread_start(pthread_t *ret, size_t stack_bytes, void *(*run)(void *ctx), void *ctx)
{
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);

    if (error)
        return -error;
    error = pthread_attr_setstacksize(&attributes, stack_bytes);
    if (!error)
        error = pthread_create(ret, &attributes, run, ctx);
    (void)pthread_attr_destroy(&attributes);
    return -error;
}

void thread_init_lock(pthread_mutex_t *lock, pthread_cond_t *changed)
{
    pthread_condattr_t attributes;

    (void)pthread_mutex_init(lock, NULL); // none of these can fail
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
}
