// SPDX-License-Identifier: Apache-2.0
#include "net/fetch.h"

#include "base/response_head.h"
#include "net/curl_memory.h"

#include <curl/curl.h>
#include <stdio.h>

enum {
    READ_BYTES = 3 * 1024, // with libcurl's additions a whole piece of memory
    CONNECTIONS_MAX = 64,  // kept for the next request; a fetch has one
};

/* A socket that libcurl wants watched. Kept for reuse: one is needed for each transfer. */
struct watch {
    uv_poll_t poll;
    struct fetcher *fetcher;
    struct watch *next; // while it is spare
};

struct fetcher {
    uv_loop_t *loop;
    CURLM *multi;
    uv_timer_t timer;
    struct watch *spare;
    unsigned open_handles; // of the loop, that must be closed before this is freed
    bool freeing;
};

struct fetch {
    struct fetcher *fetcher;
    struct fetch_options options;
    CURL *easy;
    struct curl_slist *fields;
    bool in_flight;
    struct response_head head;
    uint64_t body_bytes;
    const char *refusal; // why our side ended it
    char curl_error[CURL_ERROR_SIZE];
};

static void release(struct fetcher *fetcher)
{
    if (!fetcher->freeing || fetcher->open_handles)
        return;
    while (fetcher->spare) {
        struct watch *watch = fetcher->spare;

        fetcher->spare = watch->next;
        free(watch);
    }
    free(fetcher);
}

static void finish_transfers(struct fetcher *fetcher);

static void on_watch(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = CONTAINER_OF(poll, struct watch, poll);
    struct fetcher *fetcher = watch->fetcher;
    uv_os_fd_t fd = -1;
    int flags = 0, running;

    if (status < 0) // told of the error alone, libcurl would not ask which one it is
        flags = CURL_CSELECT_ERR | CURL_CSELECT_IN;
    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    (void)uv_fileno((uv_handle_t *)poll, &fd);
    (void)curl_multi_socket_action(fetcher->multi, fd, flags, &running);
    finish_transfers(fetcher);
}

static void on_watch_closed(uv_handle_t *handle)
{
    struct watch *watch = CONTAINER_OF(handle, struct watch, poll);
    struct fetcher *fetcher = watch->fetcher;

    watch->next = fetcher->spare;
    fetcher->spare = watch;
    fetcher->open_handles--;
    release(fetcher);
}

static struct watch *watch_new(struct fetcher *fetcher, curl_socket_t fd)
{
    struct watch *watch = fetcher->spare;

    if (watch)
        fetcher->spare = watch->next;
    else
        watch = malloc(sizeof(*watch));
    if (!watch)
        return NULL;
    watch->fetcher = fetcher;
    if (uv_poll_init(fetcher->loop, &watch->poll, fd) < 0) {
        watch->next = fetcher->spare;
        fetcher->spare = watch;
        return NULL;
    }
    fetcher->open_handles++;
    return watch;
}

/*
 * A socket that cannot be watched is left alone: its transfer ends with its time. Said to
 * libcurl, it would end all transfers, those to come as well.
 */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
    struct fetcher *fetcher = ctx;
    struct watch *watch = socket_ctx;
    int events = 0;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (watch)
            uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
        (void)curl_multi_assign(fetcher->multi, fd, NULL);
        return 0;
    }
    if (!watch) {
        watch = watch_new(fetcher, fd);
        if (!watch)
            return 0;
        (void)curl_multi_assign(fetcher->multi, fd, watch);
    }
    if (what & CURL_POLL_IN)
        events |= UV_READABLE;
    if (what & CURL_POLL_OUT)
        events |= UV_WRITABLE;
    (void)uv_poll_start(&watch->poll, events, on_watch); // fails on no open socket
    return 0;
}

static void on_timeout(uv_timer_t *timer)
{
    struct fetcher *fetcher = CONTAINER_OF(timer, struct fetcher, timer);
    int running;

    (void)curl_multi_socket_action(fetcher->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    finish_transfers(fetcher);
}

static int on_timer_wanted(CURLM *multi, long timeout_ms, void *ctx)
{
    struct fetcher *fetcher = ctx;

    (void)multi;
    if (timeout_ms < 0)
        (void)uv_timer_stop(&fetcher->timer);
    else
        (void)uv_timer_start(&fetcher->timer, on_timeout, (uint64_t)timeout_ms, 0);
    return 0;
}

int fetcher_new(uv_loop_t *loop, struct fetcher **ret)
{
    struct fetcher *fetcher = calloc(1, sizeof(*fetcher));

    if (!fetcher)
        return -ENOMEM;
    if (curl_memory_init() < 0) {
        free(fetcher);
        return -ENOMEM;
    }
    fetcher->multi = curl_multi_init();
    if (!fetcher->multi) {
        free(fetcher);
        return -ENOMEM;
    }
    fetcher->loop = loop;
    (void)uv_timer_init(loop, &fetcher->timer);
    fetcher->open_handles = 1;
    (void)curl_multi_setopt(fetcher->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    (void)curl_multi_setopt(fetcher->multi, CURLMOPT_SOCKETDATA, fetcher);
    (void)curl_multi_setopt(fetcher->multi, CURLMOPT_TIMERFUNCTION, on_timer_wanted);
    (void)curl_multi_setopt(fetcher->multi, CURLMOPT_TIMERDATA, fetcher);
    // Else 4 for each transfer in flight, so that the last to end would close the others'.
    (void)curl_multi_setopt(fetcher->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_MAX);
    *ret = fetcher;
    return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct fetcher *fetcher =
        CONTAINER_OF((uv_timer_t *)(void *)handle, struct fetcher, timer);

    fetcher->open_handles--;
    release(fetcher);
}

void fetcher_free(struct fetcher *fetcher)
{
    if (!fetcher)
        return;
    (void)curl_multi_cleanup(fetcher->multi);
    fetcher->freeing = true;
    uv_close((uv_handle_t *)&fetcher->timer, on_timer_closed);
}

/* End the transfer from our side, saying why. */
static size_t refuse(struct fetch *fetch, const char *why)
{
    fetch->refusal = why;
    return 0;
}

static size_t on_header(char *data, size_t size, size_t n, void *ctx)
{
    struct fetch *fetch = ctx;
    struct span line = {data, size * n};
    const char *why = response_head_take(&fetch->head, line);

    return why ? refuse(fetch, why) : line.len;
}

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
    struct fetch *fetch = ctx;
    struct span bytes = {data, size * n};
    long status = 0;

    fetch->body_bytes += bytes.len;
    if (fetch->body_bytes > FETCH_BODY_MAX)
        return refuse(fetch, "response larger than 8 MiB");
    (void)curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status == 200 && fetch->options.body(fetch->options.ctx, bytes) < 0)
        return refuse(fetch, "malformed metrics page");
    return bytes.len;
}

static int set_options(struct fetch *fetch)
{
    CURL *easy = fetch->easy;
    CURLcode e = CURLE_OK;

#define SET(option, value) e = e ? e : curl_easy_setopt(easy, option, value)
    SET(CURLOPT_PRIVATE, fetch);
    SET(CURLOPT_ERRORBUFFER, fetch->curl_error);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, fetch);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, fetch);
    SET(CURLOPT_BUFFERSIZE, (long)READ_BYTES);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L); // else a slow name server is waited for, on our loop
    SET(CURLOPT_TIMEOUT_MS, (long)FETCH_TOTAL_MS);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)FETCH_CONNECT_MS);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_HTTP_CONTENT_DECODING, 0L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_PROXY, ""); // whatever http_proxy says
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_USERAGENT, "vramscope");
    SET(CURLOPT_HTTPHEADER, fetch->fields);
    if (fetch->options.ca_file) {
        SET(CURLOPT_CAINFO, fetch->options.ca_file);
        SET(CURLOPT_CAPATH, NULL); // the system's folder would be trusted beside it
    }
    if (fetch->options.unix_path)
        SET(CURLOPT_UNIX_SOCKET_PATH, fetch->options.unix_path);
    if (fetch->options.insecure) {
        SET(CURLOPT_SSL_VERIFYPEER, 0L);
        SET(CURLOPT_SSL_VERIFYHOST, 0L);
    }
#undef SET
    return e ? -ENOMEM : 0;
}

static int add_field(struct fetch *fetch, const char *field)
{
    struct curl_slist *longer = curl_slist_append(fetch->fields, field);

    if (!longer)
        return -ENOMEM;
    fetch->fields = longer;
    return 0;
}

static int add_fields(struct fetch *fetch)
{
    OWNED(free_str) char *bearer = NULL;
    int r = add_field(fetch, "Accept: text/plain;version=0.0.4");

    if (r < 0 || !fetch->options.bearer)
        return r;
    if (asprintf(&bearer, "Authorization: Bearer %s", fetch->options.bearer) < 0) {
        bearer = NULL;
        return -ENOMEM;
    }
    r = add_field(fetch, bearer);
    explicit_bzero(bearer, strlen(bearer));
    return r;
}

int fetch_new(struct fetcher *fetcher, const struct fetch_options *options,
              struct fetch **ret)
{
    struct fetch *fetch = calloc(1, sizeof(*fetch));
    int r;

    if (!fetch)
        return -ENOMEM;
    fetch->fetcher = fetcher;
    fetch->options = *options;
    fetch->easy = curl_easy_init();
    r = fetch->easy ? add_fields(fetch) : -ENOMEM;
    if (r == 0)
        r = set_options(fetch);
    if (r < 0) {
        fetch_free(fetch);
        return r;
    }
    *ret = fetch;
    return 0;
}

void fetch_free(struct fetch *fetch)
{
    if (!fetch)
        return;
    if (fetch->in_flight)
        (void)curl_multi_remove_handle(fetch->fetcher->multi, fetch->easy);
    curl_easy_cleanup(fetch->easy);
    curl_slist_free_all(fetch->fields);
    free(fetch);
}

int fetch_start(struct fetch *fetch, const char *url)
{
    if (fetch->in_flight)
        return -EBUSY;
    if (curl_easy_setopt(fetch->easy, CURLOPT_URL, url))
        return -ENOMEM;
    fetch->head = (struct response_head){0};
    fetch->body_bytes = 0;
    fetch->refusal = NULL;
    fetch->curl_error[0] = '\0';
    if (curl_multi_add_handle(fetch->fetcher->multi, fetch->easy))
        return -ENOMEM;
    fetch->in_flight = true;
    return 0;
}

/* Which of our outcomes libcurl's code is; what is not here is FETCH_FAILED. */
static const struct {
    CURLcode code;
    enum fetch_outcome outcome;
} outcomes[] = {
    {CURLE_COULDNT_RESOLVE_HOST, FETCH_UNRESOLVED},
    {CURLE_COULDNT_CONNECT, FETCH_REFUSED},
    {CURLE_WRITE_ERROR, FETCH_BAD},
    {CURLE_PARTIAL_FILE, FETCH_BAD},
    {CURLE_GOT_NOTHING, FETCH_BAD},
    {CURLE_RECV_ERROR, FETCH_BAD},
    {CURLE_SEND_ERROR, FETCH_BAD},
    {CURLE_WEIRD_SERVER_REPLY, FETCH_BAD},
    {CURLE_UNSUPPORTED_PROTOCOL, FETCH_BAD},
    {CURLE_BAD_CONTENT_ENCODING, FETCH_BAD},
};

static bool has_come_to(const struct fetch *fetch, CURLINFO stage)
{
    curl_off_t after_us = 0;

    return curl_easy_getinfo(fetch->easy, stage, &after_us) == CURLE_OK && after_us > 0;
}

/* What libcurl does not see, or names misleadingly. */
static const char *find_fault(const struct fetch *fetch, CURLcode code)
{
    if (code == CURLE_OK && !fetch->head.ended)
        return RESPONSE_HEAD_TORN;
    if (code == CURLE_OUT_OF_MEMORY && has_come_to(fetch, CURLINFO_STARTTRANSFER_TIME_T))
        return RESPONSE_HEAD_TOO_LARGE; // a line longer than the 100 KB that libcurl would hold
    return NULL;
}

static enum fetch_outcome outcome_of(const struct fetch *fetch, CURLcode code)
{
    if (fetch->refusal)
        return FETCH_BAD;
    if (code == CURLE_OPERATION_TIMEDOUT) {
        if (has_come_to(fetch, CURLINFO_STARTTRANSFER_TIME_T))
            return FETCH_SLOW;
        // There is no time of connecting on a connection that was kept.
        if (has_come_to(fetch, CURLINFO_CONNECT_TIME_T) ||
            has_come_to(fetch, CURLINFO_PRETRANSFER_TIME_T))
            return FETCH_SILENT;
        return has_come_to(fetch, CURLINFO_NAMELOOKUP_TIME_T) ? FETCH_REFUSED
                                                              : FETCH_UNRESOLVED;
    }
    for (size_t i = 0; i < ARRAY_LEN(outcomes); i++)
        if (outcomes[i].code == code)
            return outcomes[i].outcome;
    return FETCH_FAILED;
}

static void explain(const struct fetch *fetch, CURLcode code, struct fetch_result *result)
{
    long os_error = 0;
    const char *why = fetch->refusal;

    (void)curl_easy_getinfo(fetch->easy, CURLINFO_OS_ERRNO, &os_error);
    if (!why && result->outcome == FETCH_UNRESOLVED)
        why = "its name was not resolved";
    else if (!why && result->outcome == FETCH_SILENT)
        why = "connected, but no answer within 1 s";
    else if (!why && result->outcome == FETCH_SLOW)
        why = "answer not complete within 1 s";
    else if (!why && code == CURLE_COULDNT_CONNECT && os_error)
        why = strerror((int)os_error);
    else if (!why)
        why = fetch->curl_error[0] ? fetch->curl_error : curl_easy_strerror(code);
    (void)snprintf(result->why, sizeof(result->why), "%.*s", FETCH_WHY_MAX - 1, why);
}

static void finish(struct fetch *fetch, CURLcode code)
{
    struct fetch_result result = {.body_bytes = fetch->body_bytes};
    curl_off_t took_us = 0;

    (void)curl_easy_getinfo(fetch->easy, CURLINFO_TOTAL_TIME_T, &took_us);
    (void)curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &result.status);
    result.took_ns = (uint64_t)took_us * 1000;
    if (!fetch->refusal)
        fetch->refusal = find_fault(fetch, code);
    (void)curl_multi_remove_handle(fetch->fetcher->multi, fetch->easy);
    fetch->in_flight = false;

    if (code != CURLE_OK || fetch->refusal) {
        result.outcome = outcome_of(fetch, code);
        explain(fetch, code, &result);
    } else if (result.status != 200) {
        result.outcome = FETCH_STATUS;
        (void)snprintf(result.why, sizeof(result.why), "HTTP status %ld", result.status);
    }
    fetch->options.done(fetch->options.ctx, &result);
}

static void finish_transfers(struct fetcher *fetcher)
{
    CURLMsg *message;
    int left;

    for (;;) {
        char *private = NULL;
        CURLcode code;

        message = curl_multi_info_read(fetcher->multi, &left);
        if (!message)
            break;
        code = message->data.result; // the message dies with the handle's removal
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
        finish((struct fetch *)(void *)private, code);
    }
}
