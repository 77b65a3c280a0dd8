// SPDX-License-Identifier: Apache-2.0
/* Connect, read the stream, and connect again when that breaks. */
#include "client/scope.h"
#include "client/token.h"

#include "base/number.h"
#include "base/text.h"

#include <stdio.h>
#include <sys/random.h>
#include <time.h>

enum {
    SILENCE_MS = 15 * 1000,
    INTERVALS_SILENT = 3,
    INTERVAL_MAX_MS = 60 * 1000,
    MEMORY_PAUSE_MS = 100, // before what failed for want of memory is tried again
};

static const char *const paths[] = {
    [VRAMSCOPE_STREAM_SEED] = "/vram/stream",
    [VRAMSCOPE_STREAM_DETAIL] = "/v1/detail/stream",
};

static uint32_t draw(const struct vramscope *scope)
{
    uint32_t drawn;

    if (getrandom(&drawn, sizeof(drawn), GRND_NONBLOCK) == sizeof(drawn))
        return drawn;
    return (uint32_t)(scope->now_ns ^ scope->now_ns >> 32); // it need not be secret
}

static int64_t wall_clock_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / NS_PER_MS;
}

/* ---- Events ---- */

static int tell(struct vramscope *scope, const struct vramscope_event *event,
                struct event_texts texts)
{
    struct vramscope_event stamped = *event;

    stamped.unix_ms = wall_clock_ms();
    if (!texts.name.at)
        texts.name = span_of("");
    if (!texts.data.at)
        texts.data = span_of("");
    if (!texts.id.at)
        texts.id = sse_last_id(scope->sse);
    if (!texts.id.at)
        texts.id = span_of("");
    return event_queue_add(&scope->queue, &stamped, &texts);
}

/* The interval is needed in a document that nobody may decode: "interval_ms":500 */
static int64_t find_interval_ms(struct span document)
{
    static const char key[] = "\"interval_ms\":";
    const char *at = memmem(document.at, document.len, key, sizeof(key) - 1);
    struct span digits = {at ? at + sizeof(key) - 1 : NULL, 0};
    uint64_t ms = 0;

    if (!at)
        return 0;
    while (digits.at + digits.len < document.at + document.len &&
           digits.at[digits.len] >= '0' && digits.at[digits.len] <= '9')
        digits.len++;
    if (number_read_u64(digits, INTERVAL_MAX_MS, &ms) < 0)
        return 0;
    return (int64_t)ms;
}

static enum vramscope_event_type type_of(const struct vramscope *scope, struct span name)
{
    if (span_is(name, "message"))
        return scope->settings.stream == VRAMSCOPE_STREAM_DETAIL ? VRAMSCOPE_DETAIL
                                                                 : VRAMSCOPE_SNAPSHOT;
    if (span_is(name, "lag"))
        return VRAMSCOPE_LAG;
    if (span_is(name, "bye"))
        return VRAMSCOPE_BYE;
    return VRAMSCOPE_OTHER;
}

/* What is in it is found out when it is taken: a reader in arrears decodes at its pace. */
static int on_event(void *ctx, const struct sse_event *event)
{
    struct vramscope *scope = ctx;
    struct vramscope_event told = {.type = type_of(scope, event->name), .status = 200};
    struct event_texts texts = {
        .name = event->name, .id = event->id, .data = event->data};
    int r = tell(scope, &told, texts);

    if (r < 0)
        return r;
    if (told.type == VRAMSCOPE_DETAIL)
        scope->interval_ms = find_interval_ms(event->data);
    return told.type == VRAMSCOPE_BYE ? -ESHUTDOWN : 0;
}

/* : no data (the NVIDIA kernel driver is not loaded) */
static int on_comment(void *ctx, struct span text)
{
    static const char head[] = " no data (";
    struct vramscope_event told = {.type = VRAMSCOPE_NO_DATA, .status = 200};
    size_t head_len = sizeof(head) - 1;

    if (text.len <= head_len || memcmp(text.at, head, head_len) != 0 ||
        text.at[text.len - 1] != ')')
        return 0;
    text = (struct span){text.at + head_len, text.len - head_len - 1};
    return tell(ctx, &told, (struct event_texts){.reason = text});
}

const struct sse_handler follow_sse_handler = {on_event, on_comment, NULL};

/* ---- The answer ---- */

static int64_t silence_ns(const struct vramscope *scope)
{
    int64_t ms = scope->settings.silence_timeout_ms;

    if (ms == 0)
        ms = MAX((int64_t)SILENCE_MS, INTERVALS_SILENT * scope->interval_ms);
    return ms * NS_PER_MS;
}

static int begin_stream(struct vramscope *scope)
{
    struct vramscope_event told = {.type = VRAMSCOPE_CONNECTED, .status = 200};
    int r = tell(scope, &told, (struct event_texts){0});

    if (r < 0) {
        request_refuse(&scope->request, "out of memory");
        return r;
    }
    scope->stage = STAGE_STREAMING;
    scope->began_ns = scope->heard_ns = scope->now_ns;
    scope->told = (struct error_body){0};
    return 0;
}

static int on_head(void *ctx)
{
    struct vramscope *scope = ctx;
    struct request *request = &scope->request;
    char type[64];

    if (request->status != 200)
        return 0;
    if (request_type_is(request, "text/event-stream"))
        return begin_stream(scope);
    request_type(request, type, sizeof(type));
    if (type[0])
        request_refuse(request, "the answer is no event stream but %s", type);
    else
        request_refuse(request, "the answer is no event stream: it names no type");
    return -EPROTO;
}

/* An error's body; one that is too long says nothing. */
static int keep_error(struct vramscope *scope, struct span bytes)
{
    buf_add(&scope->error_body, bytes.at, bytes.len);
    return scope->error_body.error;
}

static void refuse_event(struct vramscope *scope, int r)
{
    if (r == -EFBIG)
        request_refuse(&scope->request, "an event is larger than %zu bytes",
                       scope->settings.event_max);
    else if (r == -ENAMETOOLONG)
        request_refuse(&scope->request, "an event's name or id is too long");
    else if (r == -ESHUTDOWN)
        request_refuse(&scope->request, "the daemon ends");
    else
        request_refuse(&scope->request, "out of memory");
}

static int on_body(void *ctx, struct span bytes)
{
    struct vramscope *scope = ctx;
    int r;

    if (scope->stage != STAGE_STREAMING)
        return keep_error(scope, bytes);
    if (event_queue_is_full(&scope->queue)) {
        scope->held = true;
        return -EAGAIN;
    }
    scope->heard_ns = scope->now_ns;
    r = sse_feed(scope->sse, bytes);
    if (r < 0)
        refuse_event(scope, r);
    return r;
}

const struct request_handler follow_request_handler = {on_head, on_body, NULL};

/* ---- The end of a connection, or of the attempt ---- */

/* Whether the error says that there are no figures, not that we may not see them. */
static bool is_outage(const struct parting *parting)
{
    return parting->status == 503 && parting->words.code[0] &&
           strncmp(parting->words.code, "too-many", 8) != 0;
}

static void read_error(struct vramscope *scope, struct parting *parting)
{
    char *reason = parting->words.message;
    size_t room = sizeof(parting->words.message);
    int status = parting->status;

    if (error_body_read(buf_span(&scope->error_body), &parting->words) == 0) {
        if (is_outage(parting))
            parting->type = VRAMSCOPE_NO_DATA;
        return;
    }
    if (status == 204)
        (void)snprintf(reason, room, "the daemon says not to come back (status 204)");
    else if (status >= 300 && status < 400)
        (void)snprintf(reason, room, "status %d: redirects are not followed", status);
    else
        (void)snprintf(reason, room, "status %d", status);
}

static void explain(struct vramscope *scope, CURLcode code, struct parting *parting)
{
    char *reason = parting->words.message;
    size_t room = sizeof(parting->words.message);
    int r = request_result(&scope->request, code, reason, room);

    parting->status = scope->request.status;
    if (parting->status && parting->status != 200)
        read_error(scope, parting); // whatever became of its body
    else if (r == 0)
        (void)snprintf(reason, room, "the stream ended");
}

static bool is_same(const struct error_body *a, const struct error_body *b)
{
    return strcmp(a->code, b->code) == 0 && strcmp(a->message, b->message) == 0;
}

static void part(struct vramscope *scope, const struct parting *parting)
{
    scope->parting = *parting;
    scope->stage = STAGE_PARTED;
    scope->due_ns = scope->now_ns;
    scope->held = false;
    buf_clear(&scope->error_body);
}

/* How long until the next attempt. */
static int choose_wait(struct vramscope *scope, const struct parting *parting)
{
    int asked_ms = parting->status && parting->status != 200
                       ? request_retry_after_ms(&scope->request)
                       : -1;

    if (parting->status == 204 || scope->settings.once)
        return -1;
    if (parting->type == VRAMSCOPE_NO_DATA && asked_ms >= 0)
        return backoff_asked(asked_ms, draw(scope));
    scope->backoff.base_ms = sse_retry_ms(scope->sse);
    return backoff_fail(&scope->backoff, asked_ms, draw(scope));
}

static void on_done(struct vramscope *scope, CURLcode code)
{
    struct parting parting = {.type = VRAMSCOPE_DISCONNECTED};

    if (scope->stage == STAGE_STREAMING &&
        scope->heard_ns - scope->began_ns >= BACKOFF_GOOD_MS * NS_PER_MS)
        scope->backoff.failures = 0;
    explain(scope, code, &parting);
    parting.retry_ms = choose_wait(scope, &parting);
    part(scope, &parting);
}

/* Say once why there is no stream; -ENOMEM: later. */
static int tell_parting(struct vramscope *scope)
{
    const struct parting *parting = &scope->parting;
    const struct error_body *words = &parting->words;
    struct vramscope_event told = {
        .type = parting->type, .status = parting->status, .retry_ms = parting->retry_ms};
    struct event_texts texts = {.reason = span_of(words->message)};
    bool outage = parting->type == VRAMSCOPE_NO_DATA;
    int r = 0;

    if (words->code[0])
        texts.code = span_of(words->code);
    if (words->remedy[0])
        texts.remedy = span_of(words->remedy);
    if (!outage || parting->retry_ms < 0 || !is_same(words, &scope->told))
        r = tell(scope, &told, texts);
    if (r < 0) {
        scope->due_ns = scope->now_ns + MEMORY_PAUSE_MS * NS_PER_MS;
        return r;
    }
    scope->told = outage ? *words : (struct error_body){0};
    scope->stage = parting->retry_ms < 0 ? STAGE_ENDED : STAGE_WAITING;
    scope->due_ns = scope->now_ns + parting->retry_ms * NS_PER_MS;
    return 0;
}

/* ---- An attempt ---- */

static int start_request(struct vramscope *scope, struct complaint *why)
{
    const struct settings *settings = &scope->settings;
    struct request_fields fields = {.accept = "text/event-stream",
                                    .last_id = sse_last_id(scope->sse)};
    OWNED(free_str) char *path = settings_path(settings, paths[settings->stream]);
    char *token = NULL;
    int r = settings_token(settings, &token, why);

    fields.token = token;
    if (r == 0)
        r = path ? request_begin(&scope->request, &scope->target, path, &fields)
                 : -ENOMEM;
    token_free(token);
    if (r == 0 && curl_multi_add_handle(scope->poller.multi, scope->request.easy))
        r = -ENOMEM;
    return r;
}

static void start(struct vramscope *scope)
{
    struct parting parting = {.type = VRAMSCOPE_DISCONNECTED};
    struct complaint why;
    int r;

    sse_restart(scope->sse);
    r = start_request(scope, &why);
    if (r == 0) {
        scope->stage = STAGE_ASKING;
        scope->due_ns = scope->now_ns + scope->settings.connect_timeout_ms * NS_PER_MS;
        return;
    }
    (void)text_clean(parting.words.message, sizeof(parting.words.message),
                     span_of(r == -ENOMEM ? "out of memory" : why.text));
    parting.retry_ms = choose_wait(scope, &parting);
    part(scope, &parting);
}

/* Our patience has ended. */
static void cut(struct vramscope *scope)
{
    struct request *request = &scope->request;
    int ms = scope->settings.connect_timeout_ms;
    curl_off_t connected_us = 0;

    (void)curl_easy_getinfo(request->easy, CURLINFO_CONNECT_TIME_T, &connected_us);
    if (scope->stage == STAGE_STREAMING)
        request_refuse(request, "not one byte for %.3g s",
                       (double)silence_ns(scope) / 1e9);
    else
        request_refuse(request, "%s within %.3g s",
                       connected_us ? "connected, but no answer" : "no connection",
                       (double)ms / 1e3);
    (void)curl_multi_remove_handle(scope->poller.multi, request->easy);
    on_done(scope, CURLE_OPERATION_TIMEDOUT);
}

int64_t follow_due_ns(const struct vramscope *scope)
{
    bool full = event_queue_is_full(&scope->queue);

    switch (scope->stage) {
    case STAGE_WAITING:
        return full ? POLLER_NEVER : scope->due_ns;
    case STAGE_STREAMING:
        if (scope->held)
            return full ? POLLER_NEVER : scope->now_ns;
        return scope->heard_ns + silence_ns(scope);
    case STAGE_ENDED:
        return POLLER_NEVER;
    default:
        return scope->due_ns;
    }
}

/* Let libcurl give what it holds, now that there is room. */
static void resume(struct vramscope *scope)
{
    scope->held = false;
    scope->heard_ns = scope->now_ns; // we were silent, not the daemon
    if (!curl_easy_pause(scope->request.easy, CURLPAUSE_CONT) &&
        !scope->request.refusal[0])
        return;
    // What is refused in there libcurl forgets.
    (void)curl_multi_remove_handle(scope->poller.multi, scope->request.easy);
    on_done(scope, CURLE_WRITE_ERROR);
}

static void do_what_is_due(struct vramscope *scope)
{
    if (follow_due_ns(scope) > scope->now_ns)
        return;
    if (scope->stage == STAGE_WAITING)
        start(scope);
    else if (scope->stage == STAGE_STREAMING && scope->held)
        resume(scope);
    else if (scope->stage == STAGE_ASKING || scope->stage == STAGE_STREAMING)
        cut(scope);
}

int vramscope_process(struct vramscope *scope)
{
    CURLcode code;
    int r = 0;

    scope->now_ns = poller_now_ns();
    poller_turn(&scope->poller);
    if (poller_take_done(&scope->poller, &code))
        on_done(scope, code);
    do_what_is_due(scope);
    if (scope->stage == STAGE_PARTED && follow_due_ns(scope) <= scope->now_ns)
        r = tell_parting(scope);
    poller_arm(&scope->poller, follow_due_ns(scope));
    return r;
}
