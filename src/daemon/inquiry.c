// SPDX-License-Identifier: Apache-2.0
#include "daemon/inquiry.h"

#include "host/model_files.h"
#include "model/launch_file.h"
#include "model/model_weights.h"

#include <pthread.h>

enum { TEXT_MAX = 1 << 20 }; // more than a scraper keeps

struct inquiry {
    uv_loop_t *loop;
    uv_work_t work;
    inquiry_done_fn *done;
    void *ctx;
    struct host *host; // its own: used on the pool's thread alone while busy
    struct host_process process;
    uint64_t ticket;
    struct buf version, models, settings; // what the server says
    struct model_facts *facts;
    bool busy;
    bool freed; // while busy
};

static void forget_texts(struct inquiry *inquiry)
{
    buf_done(&inquiry->version);
    buf_done(&inquiry->models);
    buf_done(&inquiry->settings);
}

static void destroy(struct inquiry *inquiry)
{
    forget_texts(inquiry);
    host_free(inquiry->host);
    free(inquiry->facts);
    free(inquiry);
}

static void *end_at_once(void *nothing)
{
    return nothing;
}

static void on_nothing(uv_work_t *work)
{
    (void)work;
}

static void on_nothing_done(uv_work_t *work, int status)
{
    struct inquiry *inquiry = CONTAINER_OF(work, struct inquiry, work);

    (void)status;
    inquiry->busy = false;
    if (inquiry->freed)
        destroy(inquiry);
}

/*
 * libuv starts the pool's thread with the first work, and ends the program if it cannot.
 * Rather here, at the start, and after a thread of our own has shown that one can be had.
 */
static int start_thread(struct inquiry *inquiry)
{
    pthread_t thread;
    int r = -pthread_create(&thread, NULL, end_at_once, NULL);

    if (r < 0)
        return r;
    (void)pthread_join(thread, NULL);
    r = uv_queue_work(inquiry->loop, &inquiry->work, on_nothing, on_nothing_done);
    inquiry->busy = r == 0;
    return r;
}

int inquiry_new(uv_loop_t *loop, const char *proc_root, inquiry_done_fn *done, void *ctx,
                struct inquiry **ret)
{
    struct inquiry *inquiry = calloc(1, sizeof(*inquiry));
    int r;

    if (!inquiry)
        return -ENOMEM;
    r = host_new(proc_root, &inquiry->host);
    if (r < 0) {
        free(inquiry);
        return r;
    }
    inquiry->loop = loop;
    inquiry->done = done;
    inquiry->ctx = ctx;
    r = start_thread(inquiry);
    if (r < 0) {
        destroy(inquiry);
        return r;
    }
    *ret = inquiry;
    return 0;
}

void inquiry_free(struct inquiry *inquiry)
{
    if (!inquiry)
        return;
    inquiry->freed = true;
    if (!inquiry->busy)
        destroy(inquiry);
}

bool inquiry_is_busy(const struct inquiry *inquiry)
{
    return inquiry->busy;
}

/* An error for want of descriptors or memory is no answer. */
static void note(struct inquiry *inquiry, int error)
{
    inquiry->facts->may_pass = inquiry->facts->may_pass || host_may_pass(error);
}

/* The file of --config. If it cannot be read, `launch` goes on naming it. */
static bool read_launch_file(struct inquiry *inquiry, struct span cmdline,
                             struct launch *launch)
{
    OWNED(buf_done) struct buf text;
    OWNED(buf_done) struct buf args;
    struct complaint ignored; // whoever asks for the KV bytes is told
    int r;

    buf_init(&text, LAUNCH_FILE_MAX);
    buf_init(&args, LAUNCH_FILE_ARGS_MAX);
    r = host_read_given_file(inquiry->host, &inquiry->process, launch->config_file,
                             &text);
    note(inquiry, r);
    if (r < 0 || launch_file_read(buf_span(&text), &args, &ignored) < 0)
        return true;
    return launch_read_with_file(cmdline, buf_span(&args), launch) == 1;
}

static bool read_launch(struct inquiry *inquiry, struct launch *ret)
{
    OWNED(buf_done) struct buf cmdline;
    int r;

    buf_init(&cmdline, HOST_CMDLINE_MAX);
    r = host_read_cmdline(inquiry->host, &inquiry->process, &cmdline);
    note(inquiry, r);
    if (r < 0 || launch_read(buf_span(&cmdline), ret) == 0)
        return false;
    return !ret->config_file[0] || read_launch_file(inquiry, buf_span(&cmdline), ret);
}

static bool read_config(struct inquiry *inquiry, const struct model_name *name,
                        struct model_config *ret, struct complaint *why)
{
    struct model_file file;
    int r = host_find_model_config(inquiry->host, &inquiry->process, name, &file, why);
    bool known;

    note(inquiry, r);
    if (r < 0)
        return false;
    known = model_config_read(buf_span(&file.text), ret, why) == 0;
    model_file_done(&file);
    return known;
}

static bool read_weights(struct inquiry *inquiry, const struct model_name *name,
                         uint64_t *ret_bytes)
{
    OWNED(model_weights_done)
    struct model_weights weights = {.file_bytes = UNKNOWN};
    struct complaint ignored; // an estimate that is not made
    int r;

    r = host_find_model_weights(inquiry->host, &inquiry->process, name, &weights,
                                &ignored);
    note(inquiry, r);
    if (r < 0)
        return false;
    *ret_bytes = weights.file_bytes;
    return weights.index.len == 0 ||
           model_weights_read(buf_span(&weights.index), ret_bytes, &ignored) == 0;
}

/* `root` is the model as the server names it, where the command line does not. */
static void read_configs(struct inquiry *inquiry, const char *root,
                         struct model_facts *facts)
{
    const struct launch *launch = &facts->launch;
    const char *revision = launch->revision[0] ? launch->revision : NULL;
    struct model_name model = {launch->model[0] ? launch->model : root, revision};
    struct model_name draft = {launch->draft_model, NULL};
    struct complaint ignored; // the shape says that the draft is not known

    if (model.model[0])
        facts->has_weights = read_weights(inquiry, &model, &facts->weights_bytes);
    if (launch->hf_config_path[0])
        model.model = launch->hf_config_path;
    if (!model.model[0])
        return;
    facts->has_config = read_config(inquiry, &model, &facts->config, &facts->config_why);
    if (draft.model[0])
        facts->has_draft = read_config(inquiry, &draft, &facts->draft, &ignored);
}

/* Variables of vLLM that break the rules by which blocks are worked out. */
static bool is_env_unclear(struct inquiry *inquiry)
{
    static const char *const names[] = {"VLLM_MLA_DISABLE", "VLLM_PP_LAYER_PARTITION"};
    char value[64];

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        int r = host_read_environ_value(inquiry->host, &inquiry->process, names[i], value,
                                        sizeof(value));

        if (r != -ENOENT)
            note(inquiry, r);
        if (r != -ENOENT)
            return true; // set, or nobody knows
    }
    return false;
}

static bool read_log(struct inquiry *inquiry, struct log_kv *ret)
{
    struct host_log file;
    struct buf text;
    bool known;
    int r;

    buf_init(&text, HOST_LOG_MAX);
    r = host_read_startup_log(inquiry->host, &inquiry->process, &text, &file);
    note(inquiry, r);
    known = r == 0 && log_find_kv(buf_span(&text), ret) == 0 &&
            log_kv_is_of(ret, file.ns_pid, file.whole);
    buf_done(&text);
    return known;
}

/* What the server says counts more than what it was told. An answer may be none. */
static bool read_settings(struct inquiry *inquiry, struct model_facts *facts,
                          struct model_config *ret_config)
{
    struct server_settings settings;
    struct complaint ignored;
    struct launch launch = facts->launch;

    launch.unclear = false;
    if (inquiry->settings.len == 0 ||
        server_read_settings(buf_span(&inquiry->settings), &launch, ret_config, &settings,
                             &ignored) < 0 ||
        launch.unclear)
        return false;
    launch.unclear = facts->launch.unclear;
    facts->launch = launch;
    facts->has_settings = true;
    if (settings.has_environment)
        facts->env_unclear = settings.env_unclear;
    return settings.has_config;
}

static void read_models(struct inquiry *inquiry, struct server_model *ret)
{
    struct complaint ignored;

    *ret = (struct server_model){.max_model_len = UNKNOWN};
    if (inquiry->models.len &&
        server_read_models(buf_span(&inquiry->models), ret, &ignored) < 0)
        *ret = (struct server_model){.max_model_len = UNKNOWN};
}

static void read_version(struct inquiry *inquiry, enum kv_rule *ret)
{
    struct complaint ignored;

    *ret = KV_RULE_UNKNOWN;
    if (inquiry->version.len &&
        server_read_version(buf_span(&inquiry->version), ret, &ignored) < 0)
        *ret = KV_RULE_UNKNOWN;
}

/* Something may have been ordered that its config.json does not have. */
static bool is_file_doubtful(const struct launch *launch)
{
    return launch->hf_overrides || launch->unclear || launch->config_file[0];
}

static void ask_all(struct inquiry *inquiry, struct model_facts *facts)
{
    bool visible = inquiry->process.pid != 0, told;
    struct model_config told_config;
    struct server_model model;

    launch_clear(&facts->launch);
    facts->has_launch = visible && read_launch(inquiry, &facts->launch);
    facts->env_unclear = !visible || is_env_unclear(inquiry);
    told = read_settings(inquiry, facts, &told_config);
    read_version(inquiry, &facts->rule);
    read_models(inquiry, &model);
    facts->max_model_len = model.max_model_len;
    memcpy(facts->served_name, model.id, sizeof(model.id));
    if (visible)
        read_configs(inquiry, model.root, facts);
    if (told && (!facts->has_config || is_file_doubtful(&facts->launch))) {
        facts->config = told_config;
        facts->has_config = facts->config_told = true;
    }
    facts->has_log = visible && read_log(inquiry, &facts->log);
}

static void on_work(uv_work_t *work)
{
    struct inquiry *inquiry = CONTAINER_OF(work, struct inquiry, work);

    inquiry->facts = calloc(1, sizeof(*inquiry->facts));
    if (inquiry->facts)
        ask_all(inquiry, inquiry->facts);
}

static void on_worked(uv_work_t *work, int status)
{
    struct inquiry *inquiry = CONTAINER_OF(work, struct inquiry, work);
    struct model_facts *facts = TAKE(inquiry->facts);

    (void)status;
    inquiry->busy = false;
    forget_texts(inquiry);
    if (inquiry->freed) {
        free(facts);
        destroy(inquiry);
        return;
    }
    inquiry->done(inquiry->ctx, inquiry->ticket, facts);
}

/* Without memory it is as if the server had not answered. */
static void keep_text(struct buf *buf, struct span text)
{
    buf_init(buf, TEXT_MAX);
    buf_add(buf, text.at, text.len);
}

int inquiry_start(struct inquiry *inquiry, const struct inquiry_question *question)
{
    int r;

    if (inquiry->busy)
        return -EBUSY;
    inquiry->process = question->process;
    inquiry->ticket = question->ticket;
    keep_text(&inquiry->version, question->version);
    keep_text(&inquiry->models, question->models);
    keep_text(&inquiry->settings, question->settings);
    r = uv_queue_work(inquiry->loop, &inquiry->work, on_work, on_worked);
    inquiry->busy = r == 0;
    if (r < 0)
        forget_texts(inquiry);
    return r;
}
