// SPDX-License-Identifier: Apache-2.0
/*
 * thread.h - a thread with a small stack, and a lock whose waits end by CLOCK_MONOTONIC
 */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include "base/base.h"

#include <pthread.h>

int thread_start(pthread_t *ret, size_t stack_bytes, void *(*run)(void *ctx),
                 void *ctx) MUST_CHECK;

/* pthread_cond_timedwait() on it then takes a time of CLOCK_MONOTONIC. */
void thread_init_lock(pthread_mutex_t *lock, pthread_cond_t *changed);

#endif
