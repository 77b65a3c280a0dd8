// SPDX-License-Identifier: Apache-2.0
#include "client/scope.h"
#include "client/token.h"

#include "base/text.h"
#include "wire/utf8.h"

#include <stdio.h>

enum {
    BODY_MAX = 8 * 1024 * 1024,
    BODY_GROWTH = 3, // by U+FFFD in place of one byte
    PATH_LENGTH_MAX = 2048,
    TYPE_SIZE = 128,
};

struct get {
    const char *path;
    int timeout_ms;
    struct settings settings;
    struct target target;
    struct request request;
    char *token;
    struct buf body;
};

/* What libcurl allocated it does not know; the struct with its texts is one piece. */
struct answer {
    struct vramscope_answer plain;
    char type[TYPE_SIZE];
    char body[];
};

static int on_head(void *ctx)
{
    (void)ctx;
    return 0;
}

static int on_body(void *ctx, struct span bytes)
{
    struct get *get = ctx;

    buf_add(&get->body, bytes.at, bytes.len);
    if (get->body.error == -E2BIG)
        request_refuse(&get->request, "the answer is larger than 8 MiB");
    else if (get->body.error)
        request_refuse(&get->request, "out of memory");
    return get->body.error;
}

static bool is_path(const char *path)
{
    struct span text = span_of(path);

    return *path == '/' && text.len <= PATH_LENGTH_MAX && token_is_sound(text) &&
           !memchr(path, '#', text.len);
}

static int set_up(struct get *get, const char *url,
                  const struct vramscope_options *options)
{
    struct request_handler handler = {on_head, on_body, get};
    int r = settings_copy(options, &get->settings);

    buf_init(&get->body, BODY_MAX);
    if (r == 0)
        r = is_path(get->path) && get->timeout_ms > 0 ? 0 : -EINVAL;
    if (r == 0)
        r = target_parse(url, &get->target);
    if (r == 0)
        r = request_init(&get->request, &get->target, get->settings.ca_file, &handler);
    return r;
}

static int make_answer(const struct get *get, struct vramscope_answer **ret)
{
    struct answer *answer;
    struct buf text;
    int r;

    buf_init(&text, BODY_GROWTH * (size_t)BODY_MAX);
    utf8_repair(&text, buf_span(&get->body));
    answer = text.error ? NULL : calloc(1, sizeof(*answer) + text.len + 1);
    r = answer ? 0 : -ENOMEM;
    if (answer) {
        if (text.len)
            memcpy(answer->body, text.data, text.len);
        request_type(&get->request, answer->type, sizeof(answer->type));
        answer->plain = (struct vramscope_answer){get->request.status, answer->type,
                                                  answer->body, text.len};
        *ret = &answer->plain;
    }
    buf_done(&text);
    return r;
}

static int perform(struct get *get, struct vramscope_answer **ret, struct complaint *why)
{
    long timeout_ms = get->timeout_ms;
    struct request_fields fields = {.accept = "*/*"};
    CURL *easy = get->request.easy;
    OWNED(free_str) char *path = settings_path(&get->settings, get->path);
    CURLcode code;
    int r = path ? settings_token(&get->settings, &get->token, why) : -ENOMEM;

    if (r < 0)
        return r;
    fields.token = get->token;
    r = request_begin(&get->request, &get->target, path, &fields);
    if (r == 0 && (curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms) ||
                   curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, timeout_ms)))
        r = -ENOMEM;
    if (r < 0)
        return r;
    code = curl_easy_perform(easy);
    r = request_result(&get->request, code, why->text, sizeof(why->text));
    if (get->body.error)
        return get->body.error == -E2BIG ? -EFBIG : get->body.error;
    return r < 0 ? r : make_answer(get, ret);
}

static void tear_down(struct get *get)
{
    request_done(&get->request);
    token_free(get->token);
    buf_done(&get->body);
    target_done(&get->target);
    settings_done(&get->settings);
}

int vramscope_get(const char *url, const struct vramscope_options *options,
                  const char *path, int timeout_ms, struct vramscope_answer **ret,
                  char *why, size_t room)
{
    struct get get = {.path = path, .timeout_ms = timeout_ms};
    struct complaint complaint = {"out of memory"};
    int r = -ENOMEM;

    if (!curl_global_init(CURL_GLOBAL_DEFAULT)) {
        r = set_up(&get, url, options);
        if (r == -EINVAL)
            (void)complain(&complaint, r,
                           "the URL, the path, the timeout or an option is not valid");
        if (r == 0)
            r = perform(&get, ret, &complaint);
        tear_down(&get);
        curl_global_cleanup();
    }
    if (r < 0 && room)
        (void)text_clean(why, room, span_of(complaint.text));
    return r;
}

void vramscope_answer_free(struct vramscope_answer *answer)
{
    if (answer)
        free(CONTAINER_OF(answer, struct answer, plain));
}
