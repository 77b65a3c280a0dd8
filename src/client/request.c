// SPDX-License-Identifier: Apache-2.0
#include "client/request.h"

#include "base/text.h"
#include "version.h"

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>

void request_refuse(struct request *request, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(request->refusal, sizeof(request->refusal), format, args);
    va_end(args);
}

/* The empty line: of an interim response, of the real one, or after trailers. */
static int end_head(struct request *request)
{
    long status = 0;

    (void)curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status == 101) { // libcurl takes what follows for a body
        request_refuse(request, "the answer switches to another protocol");
        return -EPROTO;
    }
    if (status < 200 || request->status)
        return 0;
    request->status = (int)status;
    return request->handler.head(request->handler.ctx);
}

static size_t on_header(char *data, size_t size, size_t n, void *ctx)
{
    struct request *request = ctx;
    struct span line = {data, size * n};
    const char *why = response_head_take(&request->head, line);

    if (why)
        request_refuse(request, "%s", why);
    else if (!request->head.ended || end_head(request) >= 0)
        return line.len;
    return 0;
}

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
    struct request *request = ctx;
    struct span bytes = {data, size * n};
    int r = request->handler.body(request->handler.ctx, bytes);

    if (r == -EAGAIN)
        return CURL_WRITEFUNC_PAUSE;
    return r < 0 ? 0 : bytes.len;
}

/* As libcurl would, but not for the children that our program may start. */
static curl_socket_t on_open(void *ctx, curlsocktype purpose, struct curl_sockaddr *to)
{
    (void)ctx;
    (void)purpose;
    return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

static CURLcode set_limits(struct request *request)
{
    CURL *easy = request->easy;
    CURLcode e = CURLE_OK;

#define SET(option, value) e = e ? e : curl_easy_setopt(easy, option, value)
    SET(CURLOPT_ERRORBUFFER, request->curl_error);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, request);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, request);
    SET(CURLOPT_OPENSOCKETFUNCTION, on_open);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L); // else a slow name server is waited for
    SET(CURLOPT_FORBID_REUSE, 1L);
    SET(CURLOPT_DNS_CACHE_TIMEOUT, 0L); // the next attempt may find it elsewhere
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_HTTP_CONTENT_DECODING, 0L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_PROXY, ""); // whatever http_proxy says
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_USERAGENT, "vramscope/" VRAMSCOPE_VERSION);
#undef SET
    return e;
}

int request_init(struct request *request, const struct target *target,
                 const char *ca_file, const struct request_handler *handler)
{
    CURLcode e;

    *request = (struct request){.handler = *handler, .easy = curl_easy_init()};
    if (!request->easy)
        return -ENOMEM;
    e = set_limits(request);
    if (!e && ca_file) {
        e = curl_easy_setopt(request->easy, CURLOPT_CAINFO, ca_file);
        if (!e) // the system's folder would be trusted beside it
            e = curl_easy_setopt(request->easy, CURLOPT_CAPATH, NULL);
    }
    if (!e && target->unix_path)
        e = curl_easy_setopt(request->easy, CURLOPT_UNIX_SOCKET_PATH, target->unix_path);
    return e ? -ENOMEM : 0;
}

/* The list holds the token. */
static void drop_fields(struct request *request)
{
    for (struct curl_slist *field = request->fields; field; field = field->next)
        explicit_bzero(field->data, strlen(field->data));
    curl_slist_free_all(request->fields);
    request->fields = NULL;
}

void request_done(struct request *request)
{
    curl_easy_cleanup(request->easy);
    drop_fields(request);
    *request = (struct request){0};
}

static int add_field(struct request *request, const char *name, struct span value)
{
    struct curl_slist *longer = NULL;
    char *field = NULL;
    int len = asprintf(&field, "%s: %.*s", name, (int)value.len, value.at);

    if (len < 0)
        return -ENOMEM;
    longer = curl_slist_append(request->fields, field);
    explicit_bzero(field, (size_t)len);
    free(field);
    if (!longer)
        return -ENOMEM;
    request->fields = longer;
    return 0;
}

/* An id with a control character cannot be said in a field. */
static bool can_be_said(struct span id)
{
    for (size_t i = 0; i < id.len; i++)
        if ((unsigned char)id.at[i] < ' ' || id.at[i] == 0x7f)
            return false;
    return id.len > 0;
}

static int set_fields(struct request *request, const struct request_fields *fields)
{
    OWNED(free_str) char *bearer = NULL;
    int r = add_field(request, "Accept", span_of(fields->accept));

    if (r == 0)
        r = add_field(request, "Cache-Control", span_of("no-store"));
    if (r == 0 && can_be_said(fields->last_id))
        r = add_field(request, "Last-Event-ID", fields->last_id);
    if (r < 0 || !fields->token)
        return r;
    if (asprintf(&bearer, "Bearer %s", fields->token) < 0) {
        bearer = NULL;
        return -ENOMEM;
    }
    r = add_field(request, "Authorization", span_of(bearer));
    explicit_bzero(bearer, strlen(bearer));
    return r;
}

static int set_url(struct request *request, const struct target *target, const char *path)
{
    OWNED(free_str) char *url = NULL;

    if (asprintf(&url, "%s%s", target->origin, path) < 0) {
        url = NULL;
        return -ENOMEM;
    }
    return curl_easy_setopt(request->easy, CURLOPT_URL, url) ? -ENOMEM : 0;
}

int request_begin(struct request *request, const struct target *target, const char *path,
                  const struct request_fields *fields)
{
    int r;

    (void)curl_easy_setopt(request->easy, CURLOPT_HTTPHEADER, NULL);
    drop_fields(request);
    request->head = (struct response_head){0};
    request->status = 0;
    request->refusal[0] = '\0';
    request->curl_error[0] = '\0';
    r = set_url(request, target, path);
    if (r == 0)
        r = set_fields(request, fields);
    if (r == 0 && curl_easy_setopt(request->easy, CURLOPT_HTTPHEADER, request->fields))
        r = -ENOMEM;
    return r;
}

static struct span type_of(const struct request *request)
{
    const char *type = NULL;

    (void)curl_easy_getinfo(request->easy, CURLINFO_CONTENT_TYPE, &type);
    return span_of(type ? type : "");
}

void request_type(const struct request *request, char *type, size_t room)
{
    (void)text_clean(type, room, type_of(request));
}

bool request_type_is(const struct request *request, const char *type)
{
    struct span given = type_of(request);
    const char *semicolon = memchr(given.at, ';', given.len);

    if (semicolon)
        given.len = (size_t)(semicolon - given.at);
    given = text_trim(given);
    return given.len == strlen(type) && strncasecmp(given.at, type, given.len) == 0;
}

int request_retry_after_ms(const struct request *request)
{
    curl_off_t seconds = 0;

    (void)curl_easy_getinfo(request->easy, CURLINFO_RETRY_AFTER, &seconds);
    if (seconds <= 0)
        return -1;
    return (int)MIN(seconds, (curl_off_t)24 * 60 * 60) * 1000;
}

/* What libcurl does not see, or names misleadingly. */
static void find_fault(struct request *request, CURLcode code)
{
    curl_off_t answered_us = 0;

    if (request->refusal[0])
        return;
    if (code == CURLE_OK && !request->head.ended)
        request_refuse(request, RESPONSE_HEAD_TORN);
    (void)curl_easy_getinfo(request->easy, CURLINFO_STARTTRANSFER_TIME_T, &answered_us);
    if (code == CURLE_OUT_OF_MEMORY && answered_us && !request->head.ended)
        request_refuse(request, RESPONSE_HEAD_TOO_LARGE);
}

static const char *name_fault(const struct request *request, CURLcode code)
{
    long os_error = 0;

    (void)curl_easy_getinfo(request->easy, CURLINFO_OS_ERRNO, &os_error);
    if (code == CURLE_COULDNT_CONNECT && os_error)
        return strerror((int)os_error);
    if (code == CURLE_COULDNT_RESOLVE_HOST)
        return "its name was not resolved";
    if (code == CURLE_PARTIAL_FILE)
        return "the connection was cut off";
    return request->curl_error[0] ? request->curl_error : curl_easy_strerror(code);
}

static int connect_error(const struct request *request)
{
    long os_error = 0;

    (void)curl_easy_getinfo(request->easy, CURLINFO_OS_ERRNO, &os_error);
    switch (os_error) {
    case EHOSTUNREACH:
    case ENETUNREACH:
        return -EHOSTUNREACH;
    case ETIMEDOUT:
        return -ETIMEDOUT;
    default:
        return -ECONNREFUSED;
    }
}

int request_result(struct request *request, CURLcode code, char *why, size_t room)
{
    find_fault(request, code);
    if (code == CURLE_OK && !request->refusal[0])
        return 0;
    (void)text_clean(
        why, room,
        span_of(request->refusal[0] ? request->refusal : name_fault(request, code)));
    if (request->refusal[0])
        return -EPROTO;
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return -EHOSTUNREACH;
    case CURLE_COULDNT_CONNECT:
        return connect_error(request);
    case CURLE_OPERATION_TIMEDOUT:
        return -ETIMEDOUT;
    case CURLE_OUT_OF_MEMORY:
        return -ENOMEM;
    default:
        return -EPROTO;
    }
}
