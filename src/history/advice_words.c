// SPDX-License-Identifier: Apache-2.0
#include "history/advice_case.h"

#include "base/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

enum { SAY_MAX = 1024 };

static const char *const kind_names[ADVICE_KINDS] = {
    [ADVICE_SHRINK] = "shrink",
    [ADVICE_GROW] = "grow",
    [ADVICE_LOW_HIT_RATE] = "low_hit_rate",
    [ADVICE_START_COLLISION] = "start_collision",
    [ADVICE_UNIFIED_MEMORY] = "unified_memory",
};

const char *advice_kind_name(enum advice_kind kind)
{
    return kind < ADVICE_KINDS ? kind_names[kind] : "?";
}

const char *advice_confidence_name(enum advice_confidence confidence)
{
    static const char *const names[] = {[CONFIDENCE_LOW] = "low",
                                        [CONFIDENCE_MEDIUM] = "medium",
                                        [CONFIDENCE_HIGH] = "high"};

    return confidence <= CONFIDENCE_HIGH ? names[confidence] : "?";
}

enum advice_confidence advice_confidence_of(uint64_t observed_ms)
{
    if (observed_ms < ADVICE_MEDIUM_MS)
        return CONFIDENCE_LOW;
    return observed_ms < ADVICE_HIGH_MS ? CONFIDENCE_MEDIUM : CONFIDENCE_HIGH;
}

void advice_begin(const struct advice_case *it, enum advice_kind kind,
                  enum event_severity severity, struct advice *ret)
{
    *ret = (struct advice){
        .kind = kind,
        .severity = severity,
        .confidence = advice_confidence_of(it->seen->observed_ms),
        .observed_ms = it->seen->observed_ms,
        .port = it->model->port,
        .kv_bytes_per_gpu = UNKNOWN,
        .gpu_memory_utilization = (double)NAN,
        .freed_bytes = UNKNOWN,
    };
    memcpy(ret->served_name, it->model->served_name, sizeof(ret->served_name));
}

static void say(char *ret, size_t room, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

/* A name that was cut in the middle of a character is mended. */
static void say(char *ret, size_t room, const char *format, va_list args)
{
    char text[SAY_MAX];

    (void)vsnprintf(text, sizeof(text), format, args);
    (void)text_clean(ret, room, span_of(text));
}

void advice_title(struct advice *ret, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(ret->title, sizeof(ret->title), format, args);
    va_end(args);
}

void advice_text(struct advice *ret, const char *format, ...)
{
    size_t len = strlen(ret->text);
    va_list args;

    va_start(args, format);
    say(ret->text + len, sizeof(ret->text) - len, format, args);
    va_end(args);
}

void advice_line(struct advice *ret, const char *format, ...)
{
    va_list args;

    if (ret->n_lines == ADVICE_LINES)
        return;
    va_start(args, format);
    say(ret->lines[ret->n_lines++], sizeof(ret->lines[0]), format, args);
    va_end(args);
}

struct advice_words advice_name(const struct snapshot_model *model)
{
    struct advice_words words;

    (void)text_clean(words.text, sizeof(words.text), span_of(model->served_name));
    return words;
}

struct advice_words advice_gib(uint64_t bytes)
{
    struct advice_words words;

    (void)snprintf(words.text, sizeof(words.text), "%.2f GiB",
                   (double)bytes / (double)ADVICE_GIB);
    return words;
}

struct advice_words advice_time(uint64_t ms)
{
    struct advice_words words;

    if (ms < 2 * 3600 * 1000ULL)
        (void)snprintf(words.text, sizeof(words.text), "%.0f minutes", (double)ms / 6e4);
    else
        (void)snprintf(words.text, sizeof(words.text), "%.1f hours", (double)ms / 3.6e6);
    return words;
}

void advice_tell_observed(const struct advice_case *it, struct advice *ret)
{
    advice_line(ret, "observed: %" PRIu64 " s / 3600 = %.2f hours, %" PRIu64 " %s",
                it->seen->observed_ms / 1000, (double)it->seen->observed_ms / 3.6e6,
                it->seen->samples,
                it->seen->from_slots ? "samples and slots of 10 s" : "samples");
}

/* The most in use, and what would do 99.9 % of the time, as blocks of all engines. */
static void tell_used(const struct advice_case *it, struct advice *ret)
{
    uint64_t pool = it->model->kv_pool_bytes.value, blocks = it->model->page.kv_blocks;
    const char *of_all = it->engines > 1 ? ", of all engines together" : "";

    advice_line(ret,
                "most in use%s: %" PRIu64 " bytes / %" PRIu64 " x %" PRIu64 " = %" PRIu64
                " blocks, rounded up",
                of_all, it->seen->kv_used_max, pool, blocks, it->used_blocks);
    if (it->p999_blocks == UNKNOWN)
        return;
    advice_line(ret,
                "99.9 %% of the time this would do: %" PRIu64 " bytes / %" PRIu64
                " x %" PRIu64 " = %" PRIu64 " blocks, rounded up",
                it->seen->kv_used_p999, pool, blocks, it->p999_blocks);
    if (it->engines > 1)
        advice_line(ret,
                    "how it was spread over %" PRIu64 " engines is not told: one of them "
                    "may have held all of it, at most its own %" PRIu64 " blocks",
                    it->engines, it->blocks);
}

void advice_tell_pool(const struct advice_case *it, struct advice *ret)
{
    char off[64] = "";

    if (it->error > 0)
        (void)snprintf(off, sizeof(off), ", off by at most %" PRIu64 " bytes", it->error);
    advice_line(ret, "KV pool on each GPU: %" PRIu64 " bytes (%s)%s, %" PRIu64 " blocks",
                it->pool, advice_gib(it->pool).text, off, it->blocks);
    tell_used(it, ret);
}

void advice_tell_size(const struct advice_case *it, uint64_t blocks, struct advice *ret)
{
    uint64_t size = advice_size_bytes(it, blocks);

    if (it->error > 0)
        advice_line(ret,
                    "on each GPU, with the error: %" PRIu64 " x (%" PRIu64 " + %" PRIu64
                    ") / %" PRIu64 " = %" PRIu64 " bytes (%s), rounded up",
                    blocks, it->pool, it->error, it->blocks, size, advice_gib(size).text);
    else
        advice_line(ret,
                    "on each GPU: %" PRIu64 " x %" PRIu64 " / %" PRIu64 " = %" PRIu64
                    " bytes (%s), rounded up",
                    blocks, it->pool, it->blocks, size, advice_gib(size).text);
}

struct advice_words advice_least_pool(const struct advice_case *it)
{
    struct advice_words words;

    if (it->error > 0)
        (void)snprintf(words.text, sizeof(words.text), "(%" PRIu64 " - %" PRIu64 ")",
                       it->pool, it->error);
    else
        (void)snprintf(words.text, sizeof(words.text), "%" PRIu64, it->pool);
    return words;
}

static void tell_share(const struct advice_case *it, uint64_t blocks,
                       const struct advice_share *share, struct advice *ret)
{
    struct advice_words least = advice_least_pool(it);
    uint64_t size = advice_size_bytes(it, blocks);
    uint64_t total = advice_device_total(share->device);

    if (share->sizes_the_pool)
        advice_line(ret,
                    "--gpu-memory-utilization: %.10g - (%s - %" PRIu64 ") / %" PRIu64
                    " = 0.%03" PRIu64 ", rounded up",
                    it->model->page.gpu_memory_utilization, least.text, size, total,
                    share->thousandths);
    else
        advice_line(ret,
                    "--gpu-memory-utilization: (%" PRIu64 " - %s + %" PRIu64
                    ") / %" PRIu64 " = 0.%03" PRIu64 ", rounded up",
                    share->held, least.text, size, total, share->thousandths);
}

/* Beside an ordered number of blocks a share does nothing that is to be advised. */
static void tell_utilization(const struct advice_case *it, uint64_t blocks,
                             struct advice *ret)
{
    const struct advice_share share = advice_utilization(it, blocks);

    if (share.thousandths == UNKNOWN || it->model->page.kv_blocks_ordered)
        return;
    ret->gpu_memory_utilization = (double)share.thousandths / ADVICE_THOUSAND;
    tell_share(it, blocks, &share, ret);
}

void advice_tell_command(const struct advice_case *it, uint64_t blocks,
                         struct advice *ret)
{
    const struct engine_page *page = &it->model->page;
    char share[64] = "";

    tell_utilization(it, blocks, ret);
    if (!isnan(ret->gpu_memory_utilization))
        (void)snprintf(share, sizeof(share), "--gpu-memory-utilization=%.3f",
                       ret->gpu_memory_utilization);
    if (page->kv_blocks_ordered) {
        (void)snprintf(ret->command, sizeof(ret->command),
                       "--num-gpu-blocks-override=%" PRIu64, blocks);
    } else if (page->kv_memory_option) {
        ret->kv_bytes_per_gpu = advice_size_bytes(it, blocks);
        (void)snprintf(ret->command, sizeof(ret->command),
                       "--kv-cache-memory-bytes=%" PRIu64 "%s%s", ret->kv_bytes_per_gpu,
                       *share ? " " : "", share);
    } else {
        (void)snprintf(ret->command, sizeof(ret->command), "%s", share);
    }
}
