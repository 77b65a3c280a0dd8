// SPDX-License-Identifier: Apache-2.0
/*
 * test_gpu_allocs.h - count allocations made by the code under test
 *
 * The test is linked with --wrap=malloc,calloc,realloc,strdup: calls from within shared
 * libraries (the fake driver's) are not counted, as a real driver's would not be ours.
 */
#ifndef TESTS_UNIT_TEST_GPU_ALLOCS_H
#define TESTS_UNIT_TEST_GPU_ALLOCS_H

#include "base/base.h"

static unsigned allocs;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t size)
{
    allocs++;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    allocs++;
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    allocs++;
    return __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
    allocs++;
    return __real_strdup(text);
}

#endif
