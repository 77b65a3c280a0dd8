// SPDX-License-Identifier: Apache-2.0
#include "serve/frame.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

/* Room in front of the event for its size: at most six hexadecimal digits and CRLF. */
enum {
    SIZE_ROOM = 8,
    SPARE_MAX = 16,
    SPARE_LEAST = 2, // of any size: one is written while another is given back
    SPARE_BYTES = 8 << 20,
};

struct frame {
    struct frame_pool *pool;
    struct frame *next; // while it is spare
    struct buf bytes;   // SIZE_ROOM, event, CRLF
    size_t start;       // of the chunk: the size's first digit
    size_t counted;     // bytes of its pool's lent_bytes; 0 until it is sealed
    atomic_uint refs;
};

struct frame_pool {
    size_t event_max;
    pthread_mutex_t lock; // of what follows
    struct frame *spare;
    size_t n_spare, spare_bytes;
    size_t lent;
    atomic_size_t lent_bytes; // of sealed ones; read by anybody
};

int frame_pool_new(size_t event_max, struct frame_pool **ret)
{
    assert(event_max <= FRAME_EVENT_MAX);
    *ret = calloc(1, sizeof(**ret));
    if (!*ret)
        return -ENOMEM;
    (*ret)->event_max = event_max;
    (void)pthread_mutex_init(&(*ret)->lock, NULL); // cannot fail
    return 0;
}

static void destroy(struct frame *frame)
{
    buf_done(&frame->bytes);
    free(frame);
}

void frame_pool_free(struct frame_pool *pool)
{
    if (!pool)
        return;
    assert(pool->lent == 0);
    while (pool->spare) {
        struct frame *frame = pool->spare;

        pool->spare = frame->next;
        destroy(frame);
    }
    (void)pthread_mutex_destroy(&pool->lock);
    free(pool);
}

static struct frame *take_spare(struct frame_pool *pool)
{
    struct frame *frame;

    (void)pthread_mutex_lock(&pool->lock);
    frame = pool->spare;
    if (frame) {
        pool->spare = frame->next;
        pool->n_spare--;
        pool->spare_bytes -= frame->bytes.room;
    }
    pool->lent++;
    (void)pthread_mutex_unlock(&pool->lock);
    return frame;
}

/* One fewer is lent. False: `frame`, if it is one, is not kept. */
static bool give_back(struct frame_pool *pool, struct frame *frame)
{
    bool kept;

    (void)pthread_mutex_lock(&pool->lock);
    pool->lent--;
    kept = frame && pool->n_spare < SPARE_MAX &&
           (pool->n_spare < SPARE_LEAST ||
            pool->spare_bytes + frame->bytes.room <= SPARE_BYTES);
    if (frame)
        pool->lent_bytes -= frame->counted;
    if (kept) {
        frame->next = pool->spare;
        pool->spare = frame;
        pool->n_spare++;
        pool->spare_bytes += frame->bytes.room;
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return kept;
}

struct frame *frame_new(struct frame_pool *pool)
{
    static const char room[SIZE_ROOM];
    struct frame *frame = take_spare(pool);

    if (!frame) {
        frame = calloc(1, sizeof(*frame));
        if (!frame) {
            (void)give_back(pool, NULL);
            return NULL;
        }
        buf_init(&frame->bytes, SIZE_ROOM + pool->event_max + 2);
    }
    frame->pool = pool;
    frame->refs = 1;
    frame->counted = 0;
    buf_clear(&frame->bytes);
    buf_add(&frame->bytes, room, sizeof(room));
    return frame;
}

struct buf *frame_text(struct frame *frame)
{
    return &frame->bytes;
}

int frame_seal(struct frame *frame)
{
    static const char hex[] = "0123456789abcdef";
    size_t len = frame->bytes.len - SIZE_ROOM;
    char *data;

    buf_add(&frame->bytes, "\r\n", 2);
    if (frame->bytes.error)
        return frame->bytes.error;
    if (len == 0)
        return -EINVAL; // a chunk of length 0 is the end of the body

    data = frame->bytes.data;
    frame->start = SIZE_ROOM;
    data[--frame->start] = '\n';
    data[--frame->start] = '\r';
    do {
        data[--frame->start] = hex[len & 15];
        len >>= 4;
    } while (len);
    frame->counted = frame->bytes.room;
    frame->pool->lent_bytes += frame->counted;
    return 0;
}

bool frame_is_scarce(const struct frame *frame)
{
    return frame->pool->lent_bytes > FRAMES_LENT_MAX;
}

struct frame *frame_ref(struct frame *frame)
{
    (void)atomic_fetch_add_explicit(&frame->refs, 1, memory_order_relaxed);
    return frame;
}

void frame_unref(struct frame *frame)
{
    // The last one must see all that others did with it, and they are done.
    if (!frame || atomic_fetch_sub_explicit(&frame->refs, 1, memory_order_acq_rel) > 1)
        return;
    if (!give_back(frame->pool, frame))
        destroy(frame);
}

struct span frame_chunk(const struct frame *frame)
{
    return (struct span){frame->bytes.data + frame->start,
                         frame->bytes.len - frame->start};
}

struct span frame_event(const struct frame *frame)
{
    return (struct span){frame->bytes.data + SIZE_ROOM, frame->bytes.len - SIZE_ROOM - 2};
}
