// SPDX-License-Identifier: Apache-2.0
#include "net/curl_memory.h"

#include <curl/curl.h>
#include <pthread.h>

enum {
    SMALLEST = 32,
    CLASSES = 13, // 32 bytes to 128 KiB; larger pieces come and go with malloc()
};

/* In front of every piece; as large as malloc() aligns. */
union header {
    struct {
        size_t size; // that can be used
        uint32_t class;
    } piece;
    union header *next; // while it is spare
    max_align_t align;
};

// libcurl resolves names in threads of its own, which allocate too.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static union header *spare[CLASSES];

static uint32_t class_of(size_t size)
{
    uint32_t class = 0;

    while (class < CLASSES && (size_t)SMALLEST << class < size)
        class ++;
    return class;
}

static void *take(size_t size)
{
    uint32_t class = class_of(size);
    union header *header = NULL;

    if (class < CLASSES) {
        size = (size_t)SMALLEST << class;
        pthread_mutex_lock(&lock);
        header = spare[class];
        if (header)
            spare[class] = header->next;
        pthread_mutex_unlock(&lock);
    }
    if (!header) {
        if (size > SIZE_MAX - sizeof(*header))
            return NULL;
        header = malloc(sizeof(*header) + size);
    }
    if (!header)
        return NULL;
    header->piece.size = size;
    header->piece.class = class;
    return header + 1;
}

static void give_back(void *memory)
{
    union header *header = memory;
    uint32_t class;

    if (!memory)
        return;
    header--;
    class = header->piece.class;
    if (class == CLASSES) {
        free(header);
        return;
    }
    pthread_mutex_lock(&lock);
    header->next = spare[class];
    spare[class] = header;
    pthread_mutex_unlock(&lock);
}

static void *take_zeroed(size_t n, size_t size)
{
    size_t bytes;
    void *memory;

    if (__builtin_mul_overflow(n, size, &bytes))
        return NULL;
    memory = take(bytes);
    if (memory)
        memset(memory, 0, bytes);
    return memory;
}

static void *resize(void *memory, size_t size)
{
    const union header *header = memory;
    void *larger;

    if (!memory)
        return take(size);
    if (size <= header[-1].piece.size)
        return memory;
    larger = take(size);
    if (!larger)
        return NULL;
    memcpy(larger, memory, header[-1].piece.size);
    give_back(memory);
    return larger;
}

static char *duplicate(const char *text)
{
    size_t len = strlen(text) + 1;
    char *copy = take(len);

    if (copy)
        memcpy(copy, text, len);
    return copy;
}

static CURLcode init_result;

static void init_once(void)
{
    init_result = curl_global_init_mem(CURL_GLOBAL_DEFAULT, take, give_back, resize,
                                       duplicate, take_zeroed);
}

int curl_memory_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, init_once);
    return init_result ? -ENOMEM : 0;
}
