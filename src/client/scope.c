// SPDX-License-Identifier: Apache-2.0
#include "client/scope.h"

#include "version.h"

static int set_up(struct vramscope *scope, const char *url,
                  const struct vramscope_options *options)
{
    struct sse_handler sse_handler = follow_sse_handler;
    struct request_handler request_handler = follow_request_handler;
    int r = settings_copy(options, &scope->settings);

    if (r == 0)
        r = target_parse(url, &scope->target);
    if (r == 0)
        r = poller_init(&scope->poller);
    if (r < 0)
        return r;
    sse_handler.ctx = request_handler.ctx = scope;
    r = request_init(&scope->request, &scope->target, scope->settings.ca_file,
                     &request_handler);
    if (r == 0)
        r = sse_new(&sse_handler, scope->settings.event_max,
                    span_of(scope->settings.last_event_id), &scope->sse);
    return r == -ENAMETOOLONG ? -EINVAL : r; // an id that is too long only as UTF-8
}

static void tear_down(struct vramscope *scope)
{
    if (scope->poller.multi && scope->request.easy)
        (void)curl_multi_remove_handle(scope->poller.multi, scope->request.easy);
    request_done(&scope->request);
    poller_done(&scope->poller);
    sse_free(scope->sse);
    take_back(scope);
    event_queue_done(&scope->queue);
    buf_done(&scope->error_body);
    target_done(&scope->target);
    settings_done(&scope->settings);
    free(scope);
    curl_global_cleanup();
}

int vramscope_open(const char *url, const struct vramscope_options *options,
                   struct vramscope **ret)
{
    struct vramscope *scope = calloc(1, sizeof(*scope));
    int r;

    if (!scope)
        return -ENOMEM;
    if (curl_global_init(CURL_GLOBAL_DEFAULT)) { // counted: paired in tear_down()
        free(scope);
        return -ENOMEM;
    }
    scope->poller.fd = scope->poller.timer_fd = -1;
    scope->stage = STAGE_WAITING;
    buf_init(&scope->error_body, ERROR_BODY_MAX);
    r = set_up(scope, url, options);
    if (r < 0) {
        tear_down(scope);
        return r;
    }
    scope->now_ns = scope->due_ns = poller_now_ns();
    poller_arm(&scope->poller, scope->due_ns);
    *ret = scope;
    return 0;
}

void vramscope_close(struct vramscope *scope)
{
    if (scope)
        tear_down(scope);
}

const char *vramscope_version(void)
{
    return VRAMSCOPE_VERSION;
}
