// SPDX-License-Identifier: Apache-2.0
/*
 * syscall_filter.h - the seccomp filter of confine.h
 *
 * One program for the kernel's classic BPF, put together from tables. It asks one number
 * after another; kernels since 5.11 remember for each call whether its arguments matter,
 * and run the program for the few where they do.
 */
#ifndef BASE_SYSCALL_FILTER_H
#define BASE_SYSCALL_FILTER_H

#include "base/confine.h"

/*
 * Put the filter in force for all threads, or this one; needs no_new_privs. -ENOSYS: this kernel, or this
 * program's architecture, has none.
 */
int syscall_filter_install(const struct confine_options *options) MUST_CHECK;

#endif
