// SPDX-License-Identifier: Apache-2.0
/*
 * curl_memory.h - give libcurl memory that is kept
 *
 * libcurl allocates and frees some dozens of small pieces for each transfer. They are
 * served from lists of pieces it gave back before, by size, so that a daemon that
 * scrapes the same engines for weeks asks the system for memory only until it is warm
 * and cannot fragment its heap. Nothing is returned: the most that was ever in use stays.
 */
#ifndef NET_CURL_MEMORY_H
#define NET_CURL_MEMORY_H

#include "base/base.h"

/* Initialize libcurl with this memory; once per process, later calls do nothing. */
int curl_memory_init(void) MUST_CHECK;

#endif
