// SPDX-License-Identifier: Apache-2.0
#include "net/http_request.h"

#include "base/number.h"
#include "base/text.h"

#include <llhttp/llhttp.h>
#include <strings.h>

/* What one head is parsed into, beside what the caller gets. */
struct parse {
    llhttp_t parser;
    struct http_request *request;
    struct span url;
    struct span field; // name of the field being read
    struct span value;
    unsigned fields;
    unsigned hosts;
    int refusal; // an HTTP status, 0 while all is well
    bool field_done;
    bool close; // "Connection: close" was there, which nothing takes back
};

static struct span trim(struct span s)
{
    while (s.len && (s.at[0] == ' ' || s.at[0] == '\t'))
        s = (struct span){s.at + 1, s.len - 1};
    while (s.len && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
        s.len--;
    return s;
}

static bool is_token_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

static size_t token_length(struct span text)
{
    size_t n = 0;

    while (n < text.len && is_token_char(text.at[n]))
        n++;
    return n;
}

/* Take the first of the comma-separated words of `list`; false when there is none left. */
static bool list_next(struct span *list, struct span *ret)
{
    const char *comma;
    size_t n;

    if (list->len == 0)
        return false;
    comma = memchr(list->at, ',', list->len);
    n = comma ? (size_t)(comma - list->at) : list->len;
    *ret = trim((struct span){list->at, n});
    n += comma != NULL;
    *list = (struct span){list->at + n, list->len - n};
    return true;
}

static bool list_has(struct span list, const char *word)
{
    struct span found;

    while (list_next(&list, &found))
        if (text_same_word(found, word))
            return true;
    return false;
}

/* "q=0", "Q=0.000": not at all. */
static bool is_weight_none(struct span parameter)
{
    if (parameter.len < 3 || strncasecmp(parameter.at, "q=0", 3) != 0)
        return false;
    for (size_t i = 3; i < parameter.len; i++)
        if (parameter.at[i] != '0' && parameter.at[i] != '.')
            return false;
    return true;
}

bool http_accepts_coding(struct span list, const char *coding)
{
    struct span found;

    while (list_next(&list, &found)) {
        const char *at = memchr(found.at, ';', found.len);
        size_t len = at ? (size_t)(at - found.at) : found.len;

        if (!text_same_word(trim((struct span){found.at, len}), coding))
            continue;
        return !at || !is_weight_none(trim((struct span){at + 1, found.len - len - 1}));
    }
    return false;
}

bool http_tag_matches(struct span list, const char *tag)
{
    struct span found;

    while (list_next(&list, &found)) {
        if (found.len > 2 && memcmp(found.at, "W/", 2) == 0)
            found = (struct span){found.at + 2, found.len - 2};
        if (span_is(found, "*") || span_is(found, tag))
            return true;
    }
    return false;
}

static int take_host(struct parse *p)
{
    p->hosts++;
    if (!p->request->host.at)
        p->request->host = p->value;
    return 0;
}

static int take_connection(struct parse *p)
{
    p->close |= list_has(p->value, "close");
    p->request->keep_alive |= list_has(p->value, "keep-alive");
    return 0;
}

static int take_content_length(struct parse *p)
{
    uint64_t length;

    if (number_read_u64(p->value, UINT64_MAX, &length) == -EINVAL)
        return 400;
    return span_is(p->value, "0") ? 0 : 413;
}

static int take_transfer_encoding(struct parse *p)
{
    (void)p;
    return 400;
}

/*
 * Either a function or a place in the request. Given twice, the first is kept, or, where
 * who may ask depends on it, the request is refused.
 */
static const struct {
    const char *name;
    int (*take)(struct parse *p);
    size_t at;
    bool once;
} known_fields[] = {
    {"Host", take_host, 0, false},
    {"Connection", take_connection, 0, false},
    {"Content-Length", take_content_length, 0, false},
    {"Transfer-Encoding", take_transfer_encoding, 0, false},
    {"Accept", NULL, offsetof(struct http_request, accept), false},
    {"Accept-Encoding", NULL, offsetof(struct http_request, accept_encoding), false},
    {"If-None-Match", NULL, offsetof(struct http_request, if_none_match), false},
    {"Authorization", NULL, offsetof(struct http_request, authorization), true},
    {"Last-Event-ID", NULL, offsetof(struct http_request, last_event_id), false},
    {"Origin", NULL, offsetof(struct http_request, origin), true},
    {"Sec-Fetch-Mode", NULL, offsetof(struct http_request, sec_fetch_mode), true},
    {"Sec-Fetch-Dest", NULL, offsetof(struct http_request, sec_fetch_dest), true},
    {"Sec-Fetch-Site", NULL, offsetof(struct http_request, sec_fetch_site), true},
};

static void take_field(struct parse *p)
{
    p->value = trim(p->value);
    for (size_t i = 0; i < ARRAY_LEN(known_fields); i++) {
        struct span *place;

        if (!text_same_word(p->field, known_fields[i].name))
            continue;
        if (known_fields[i].take) {
            p->refusal = known_fields[i].take(p);
            return;
        }
        place = (struct span *)(void *)((char *)p->request + known_fields[i].at);
        if (!place->at)
            *place = p->value;
        else if (known_fields[i].once)
            p->refusal = 400;
        return;
    }
}

static struct parse *parse_of(llhttp_t *parser)
{
    return CONTAINER_OF(parser, struct parse, parser);
}

static int on_url(llhttp_t *parser, const char *at, size_t len)
{
    parse_of(parser)->url = (struct span){at, len};
    return 0;
}

/* The version decides the default of keep_alive, which Connection then overrides. */
static int on_version_complete(llhttp_t *parser)
{
    struct parse *p = parse_of(parser);

    if (parser->http_major != 1)
        p->refusal = 505;
    p->request->minor = parser->http_minor > 0;
    p->request->keep_alive = p->request->minor > 0;
    return p->refusal ? -1 : 0;
}

static int on_field(llhttp_t *parser, const char *at, size_t len)
{
    struct parse *p = parse_of(parser);

    p->field = (struct span){at, len};
    p->value = (struct span){at + len, 0};
    p->field_done = false;
    if (++p->fields > HTTP_FIELDS_MAX)
        p->refusal = 431;
    else if (len == 0 || token_length(p->field) != len)
        p->refusal = 400; // llhttp takes "Host : x", too
    return p->refusal ? -1 : 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
    struct parse *p = parse_of(parser);

    if (p->value.len) {
        p->refusal = 400; // in one piece unless the line was folded
        return -1;
    }
    p->value = (struct span){at, len};
    return 0;
}

static int on_value_complete(llhttp_t *parser)
{
    struct parse *p = parse_of(parser);

    if (!p->field_done)
        take_field(p);
    p->field_done = true;
    return p->refusal ? -1 : 0;
}

static int on_headers_complete(llhttp_t *parser)
{
    (void)parser;
    return 1; // whatever it said, no body follows
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_version_complete = on_version_complete,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_headers_complete,
};

/*
 * CRLF ends every line, the last is empty, and none starts with a blank, which would
 * continue the one before (obs-fold). llhttp takes CR and any byte for the last.
 */
static bool has_exact_lines(struct span head)
{
    static const char end[] = "\r\n\r\n";
    size_t len = sizeof(end) - 1;

    if (head.len < len || memcmp(head.at + head.len - len, end, len) != 0)
        return false;
    for (size_t i = 0; i + 1 < head.len; i++) {
        char c = head.at[i], next = head.at[i + 1];

        if ((c == '\r') != (next == '\n') || (c == '\n' && (next == ' ' || next == '\t')))
            return false;
    }
    return true;
}

/* The method's word; its length is 0 when the line does not start with a token and a SP. */
static struct span method_of(struct span head)
{
    size_t n = token_length(head);

    if (n == head.len || head.at[n] != ' ')
        n = 0;
    return (struct span){head.at, n};
}

static enum http_method method_named(struct span word)
{
    static const char *const names[] = {
        [METHOD_GET] = "GET", [METHOD_HEAD] = "HEAD", [METHOD_OPTIONS] = "OPTIONS"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (span_is(word, names[i]))
            return (enum http_method)i;
    return METHOD_OTHER;
}

/*
 * Exactly METHOD SP target SP HTTP/1.x, the target of visible ASCII and without a
 * fragment. llhttp takes more blanks, tabs and high bytes in the target, no version at all
 * (HTTP/0.9), and the names of two other protocols.
 */
static bool is_exact_line(struct span head, struct span method, struct span target)
{
    static const char version[] = " HTTP/1.";
    const char *after;

    if (target.len == 0 || target.at != head.at + method.len + 1)
        return false;
    for (size_t i = 0; i < target.len; i++)
        if (target.at[i] <= ' ' || target.at[i] > '~' || target.at[i] == '#')
            return false;
    after = target.at + target.len;
    return (size_t)(head.at + head.len - after) >= sizeof(version) - 1 &&
           memcmp(after, version, sizeof(version) - 1) == 0;
}

/* Of "http://" or "https://" and something after it; 0: there is neither. */
static size_t scheme_length(struct span target)
{
    static const char *const schemes[] = {"http://", "https://"};

    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        size_t len = strlen(schemes[i]);

        if (target.len > len && strncasecmp(target.at, schemes[i], len) == 0)
            return len;
    }
    return 0;
}

/* origin-form, absolute-form (whose authority wins over Host), or "*". */
static int split_target(struct span target, struct http_request *request)
{
    size_t scheme_len = scheme_length(target);
    const char *mark;

    if (scheme_len) {
        struct span rest = {target.at + scheme_len, target.len - scheme_len};
        const char *slash = memchr(rest.at, '/', rest.len);
        size_t n = slash ? (size_t)(slash - rest.at) : rest.len;

        if (n == 0)
            return -400;
        request->host = (struct span){rest.at, n};
        // Without a path it is "/": the scheme's last one.
        target =
            slash ? (struct span){slash, rest.len - n} : (struct span){rest.at - 1, 1};
    }
    if (!span_is(target, "*") && target.at[0] != '/')
        return -400;

    mark = memchr(target.at, '?', target.len);
    request->path = target;
    if (mark) {
        request->path.len = (size_t)(mark - target.at);
        request->query =
            (struct span){mark + 1, (size_t)(target.at + target.len - mark - 1)};
    }
    return 0;
}

/* Where the first line ends in HTTP/1.2 to 1.9: the last digit. NULL: it does not. */
static const char *later_minor(struct span head)
{
    static const char version[] = " HTTP/1.";
    const char *end = memchr(head.at, '\r', head.len);
    size_t len = sizeof(version) - 1;

    if (!end || (size_t)(end - head.at) < len + 1 ||
        memcmp(end - 1 - len, version, len) != 0)
        return NULL;
    return end[-1] >= '2' && end[-1] <= '9' ? end - 1 : NULL;
}

/* A later minor version is as good as 1.1 (RFC 9110 section 2.5), but llhttp knows none. */
static enum llhttp_errno execute(llhttp_t *parser, struct span head)
{
    const char *minor = later_minor(head);
    enum llhttp_errno error;

    if (!minor)
        return llhttp_execute(parser, head.at, head.len);
    error = llhttp_execute(parser, head.at, (size_t)(minor - head.at));
    if (error == HPE_OK)
        error = llhttp_execute(parser, "1", 1);
    if (error == HPE_OK)
        error =
            llhttp_execute(parser, minor + 1, (size_t)(head.at + head.len - minor - 1));
    return error;
}

static int run_parser(struct parse *p, struct span head, struct span method)
{
    enum llhttp_errno error;

    llhttp_init(&p->parser, HTTP_REQUEST, &settings);
    error = execute(&p->parser, head);

    if (p->refusal)
        return -p->refusal;
    if (error == HPE_INVALID_METHOD && method.len)
        return -501;
    if (error == HPE_INVALID_VERSION)
        return -505;
    if (error != HPE_OK && error != HPE_PAUSED_UPGRADE)
        return -400;
    return 0;
}

int http_request_parse(struct span head, struct http_request *ret)
{
    struct http_request request = {0};
    struct parse p = {.request = &request};
    struct span method = method_of(head);
    int r;

    if (!has_exact_lines(head))
        return -400;
    r = run_parser(&p, head, method);
    if (r < 0)
        return r;
    if (!is_exact_line(head, method, p.url))
        return -400;
    if (p.hosts > 1 || (request.minor == 1 && p.hosts == 0))
        return -400;

    request.method = method_named(method);
    request.keep_alive &= !p.close;
    r = split_target(p.url, &request);
    if (r < 0)
        return r;
    *ret = request;
    return 0;
}

int http_head_length(struct span bytes, size_t *scanned)
{
    bool line_seen = *scanned > 0 && memchr(bytes.at, '\n', *scanned);

    for (size_t i = *scanned; i < bytes.len; i++) {
        if (!line_seen && i >= HTTP_LINE_MAX)
            return -414;
        if (i >= HTTP_HEAD_MAX)
            return -431;
        if (bytes.at[i] == '\0')
            return -400;
        if (bytes.at[i] != '\n')
            continue;
        if (i == 0 || bytes.at[i - 1] != '\r')
            return -400;
        line_seen = true;
        if (i >= 3 && bytes.at[i - 2] == '\n') {
            *scanned = 0;
            return (int)(i + 1);
        }
    }
    *scanned = bytes.len;
    return bytes.len >= HTTP_HEAD_MAX ? -431 : 0;
}

bool http_query_find(struct span query, const char *name, struct span *ret)
{
    size_t name_len = strlen(name);

    while (query.len) {
        const char *end = memchr(query.at, '&', query.len);
        size_t n = end ? (size_t)(end - query.at) : query.len;

        if (n > name_len && query.at[name_len] == '=' &&
            memcmp(query.at, name, name_len) == 0) {
            *ret = (struct span){query.at + name_len + 1, n - name_len - 1};
            return true;
        }
        n += end != NULL;
        query = (struct span){query.at + n, query.len - n};
    }
    return false;
}
