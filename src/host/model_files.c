// SPDX-License-Identifier: Apache-2.0
#include "host/model_files.h"

#include "base/text.h"
#include "host/host_root.h"
#include "host/host_text.h"
#include "host/host_view.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

enum {
    NAME_MAX_BYTES = 96, // of each part, as the hub has it
    REVISION_MAX = 128,
    REF_MAX = 256,
    ENTRIES_MAX = 4096, // of a folder that is listed
};

/* What one search shares. */
struct search {
    struct host_view view;
    const struct model_name *name;
    struct buf text; // of config.json
};

static const struct {
    int error;
    const char *reason;
} reasons[] = {
    {-EACCES, "its files are not readable: run as the same user or root"},
    {-ESRCH, "it is gone"},
    {-ENOENT, "no such file there"},
    {-ENOTDIR, "no such folder there"},
    {-ENODATA, "its user's home folder is not known: no HOME, and not listed there"},
    {-ENOTUNIQ, "several snapshots and no refs/main: which one it serves is not known"},
    {-EINVAL, "neither an ordinary file nor the name of a model"},
    {-EBADMSG, "not in the form that was expected there"},
    {-E2BIG, "larger than such a file is"},
    {-ENAMETOOLONG, "the path is too long"},
    {-ELOOP, "a link that leads round in circles or out of its root"},
    {-ENOSYS, "needs openat2 (Linux 5.6) and /proc/self"},
    {-ENOMEM, "out of memory"},
};

static int explain(struct complaint *complaint, const struct search *search, int r)
{
    const char *reason = strerror(-r);
    char shown[COMPLAINT_MAX / 2];

    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (reasons[i].error == r)
            reason = reasons[i].reason;
    (void)text_clean(shown, sizeof(shown), span_of(search->view.path.text));
    return complain(complaint, r, "\"%s\" of process %u: %s", shown,
                    search->view.process->pid, reason);
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '_';
}

/* Letters, digits, '_', and '-' and '.', these two neither at an end nor doubled. */
static bool is_part(struct span part, size_t max)
{
    if (part.len == 0 || part.len > max || !is_word(part.at[0]) ||
        !is_word(part.at[part.len - 1]))
        return false;
    for (size_t i = 0; i < part.len; i++) {
        char c = part.at[i];

        if (!is_word(c) && c != '-' && c != '.')
            return false;
        if (!is_word(c) && part.at[i - 1] == c)
            return false;
    }
    return true;
}

/* Whether there are 1 to `most` parts, with a '/' between each two. */
static bool has_parts(struct span text, int most, size_t max)
{
    struct span part;
    int n = 0;

    if (text.len == 0 || text.at[text.len - 1] == '/')
        return false;
    while (host_take_until(&text, '/', &part))
        if (++n > most || !is_part(part, max))
            return false;
    return true;
}

bool model_is_hub_name(struct span text)
{
    return has_parts(text, 2, NAME_MAX_BYTES);
}

bool model_is_revision(struct span text)
{
    enum { PARTS_MAX = 4 };

    return text.len <= REVISION_MAX && has_parts(text, PARTS_MAX, REVISION_MAX);
}

void model_file_done(struct model_file *config)
{
    if (config)
        buf_done(&config->text);
}

/* Read config.json in the folder that search->view.path names. */
static int read_config(struct search *search)
{
    int r = host_path_add(&search->view.path, span_of("config.json"));

    if (r < 0)
        return r;
    return host_view_read(&search->view, &search->text);
}

/*
 * In the order of huggingface_hub's constants.py:
 * $HF_HUB_CACHE, $HUGGINGFACE_HUB_CACHE, $HF_HOME/hub, $XDG_CACHE_HOME/huggingface/hub,
 * ~/.cache/huggingface/hub
 */
static int find_cache(struct search *search, struct host_path *ret)
{
    static const struct {
        const char *names[3];
        const char *rest;
    } places[] = {
        {{"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", NULL}, NULL},
        {{"HF_HOME", NULL}, "hub"},
        {{"XDG_CACHE_HOME", NULL}, "huggingface/hub"},
    };
    int r;

    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        struct span given;

        r = host_view_variable(&search->view, places[i].names, &given);
        if (r == -ENOENT)
            continue;
        if (r == 0)
            r = host_view_resolve(&search->view, given, ret);
        if (r == 0 && places[i].rest)
            r = host_path_add(ret, span_of(places[i].rest));
        return r;
    }
    r = host_view_home(&search->view, ret);
    return r < 0 ? r : host_path_add(ret, span_of(".cache/huggingface/hub"));
}

/* CACHE/models--ORG--NAME */
static int find_repository(struct search *search, struct host_path *ret)
{
    char name[sizeof("models--") + 2 * NAME_MAX_BYTES + sizeof("--")];
    struct span rest = span_of(search->name->model), part;
    int r = find_cache(search, ret);
    int n = snprintf(name, sizeof(name), "models");

    if (r < 0)
        return r;
    while (n > 0 && (size_t)n < sizeof(name) && host_take_until(&rest, '/', &part))
        n += snprintf(name + n, sizeof(name) - (size_t)n, "--%.*s", (int)part.len,
                      part.at);
    return host_path_add(ret, span_of(name));
}

/* What refs/REVISION says: the name of a snapshot. */
static int read_ref(struct search *search, const struct host_path *repository,
                    const char *revision, struct host_path *ret)
{
    OWNED(buf_done) struct buf ref;
    struct span text, rest;
    int r = host_path_set(&search->view.path, span_of(repository->text), "/refs");

    buf_init(&ref, REF_MAX);
    if (r == 0)
        r = host_path_add(&search->view.path, span_of(revision));
    if (r == 0)
        r = host_view_read(&search->view, &ref);
    if (r < 0)
        return r;
    rest = buf_span(&ref);
    if (!host_take_until(&rest, '\n', &text) || rest.len || !model_is_revision(text) ||
        memchr(text.at, '/', text.len))
        return -EBADMSG;
    return host_path_set(ret, text, "");
}

static void close_dir(DIR **dir)
{
    if (*dir)
        (void)closedir(*dir); // only read
}

/* The only entry of an open folder. -ENOTUNIQ: there are several. */
static int find_only_entry(DIR *dir, struct host_path *ret)
{
    int n = 0, r = -ENOENT;

    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        if (++n > ENTRIES_MAX)
            return -E2BIG;
        if (*entry->d_name == '.')
            continue;
        if (r == 0)
            return -ENOTUNIQ;
        if (!model_is_revision(span_of(entry->d_name)))
            return -EBADMSG;
        r = host_path_set(ret, span_of(entry->d_name), "");
        if (r < 0)
            return r;
    }
    return r;
}

/* The folder that view.path names. */
static int open_dir(const struct search *search, DIR **ret)
{
    int r, fd = host_open_folder(search->view.root_fd, search->view.path.text);

    if (fd < 0)
        return fd;
    *ret = fdopendir(fd);
    if (*ret)
        return 0;
    r = neg_errno();
    (void)close(fd); // only read
    return r;
}

static int find_only_snapshot(struct search *search, const struct host_path *repository,
                              struct host_path *ret)
{
    OWNED(close_dir) DIR *dir = NULL;
    int r = host_path_set(&search->view.path, span_of(repository->text), "/snapshots");

    if (r == 0)
        r = open_dir(search, &dir);
    return r < 0 ? r : find_only_entry(dir, ret);
}

/* A revision that is not a ref is the name of a snapshot itself. */
static int find_snapshot(struct search *search, const struct host_path *repository,
                         struct host_path *ret)
{
    const char *revision = search->name->revision ? search->name->revision : "main";
    int r;

    if (!model_is_revision(span_of(revision)))
        return -EINVAL;
    r = read_ref(search, repository, revision, ret);
    if (r != -ENOENT && r != -ENOTDIR)
        return r;
    if (search->name->revision)
        return host_path_set(ret, span_of(revision), "");
    return find_only_snapshot(search, repository, ret);
}

static int find_in_hub_cache(struct search *search)
{
    struct host_path repository, snapshot;
    int r = find_repository(search, &repository);

    if (r == 0)
        r = find_snapshot(search, &repository, &snapshot);
    if (r == 0)
        r = host_path_set(&search->view.path, span_of(repository.text), "/snapshots");
    if (r == 0)
        r = host_path_add(&search->view.path, span_of(snapshot.text));
    return r < 0 ? r : read_config(search);
}

static int find_in_folder(struct search *search)
{
    int r = host_view_resolve(&search->view, span_of(search->name->model),
                              &search->view.path);

    return r < 0 ? r : read_config(search);
}

/* vLLM takes a folder of that name, if there is one, for the model. */
static int find_config(struct search *search)
{
    struct span model = span_of(search->name->model);
    int r;

    if (model.len == 0)
        return -EINVAL;
    r = find_in_folder(search);
    if (r != -ENOENT && r != -ENOTDIR)
        return r;
    if (model_is_hub_name(model))
        return find_in_hub_cache(search);
    if (strchr("/.~", *model.at))
        return r;
    r = host_path_set(&search->view.path, model, "");
    return r < 0 ? r : -EINVAL;
}

static void search_done(struct search *search)
{
    host_view_done(&search->view);
    buf_done(&search->text);
}

/* Leaves the path of config.json in view.path. */
static int search_run(struct search *search, const struct host *host,
                      const struct host_process *process, const struct model_name *name)
{
    int r;

    *search = (struct search){.name = name};
    host_view_init(&search->view, host, process);
    buf_init(&search->text, MODEL_FILE_MAX);
    r = host_path_set(&search->view.path, span_of(name->model), "");
    if (r == 0)
        r = host_view_open(&search->view);
    return r < 0 ? r : find_config(search);
}

int host_find_model_config(struct host *host, const struct host_process *process,
                           const struct model_name *name, struct model_file *ret,
                           struct complaint *complaint)
{
    OWNED(search_done) struct search search;
    int r = search_run(&search, host, process, name);

    if (r == 0)
        r = host_view_check(&search.view);
    if (r < 0)
        return explain(complaint, &search, r);
    (void)text_clean(ret->path, sizeof(ret->path), span_of(search.view.path.text));
    ret->text = search.text;
    search.text = (struct buf){0};
    return 0;
}

/* ---- weights ---- */

void model_weights_done(struct model_weights *weights)
{
    if (weights)
        buf_done(&weights->index);
}

/* How many files there are that may hold weights. */
static int count_safetensors(DIR *dir)
{
    static const char end[] = ".safetensors";
    int n = 0, found = 0;

    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        size_t len = strlen(entry->d_name);

        if (++n > ENTRIES_MAX)
            return -E2BIG;
        found +=
            len >= strlen(end) && strcmp(entry->d_name + len - strlen(end), end) == 0;
    }
    return found;
}

static int check_only_safetensors(struct search *search)
{
    OWNED(close_dir) DIR *dir = NULL;
    int r = open_dir(search, &dir);

    if (r == 0)
        r = count_safetensors(dir);
    if (r < 0)
        return r;
    return r == 1 ? 0 : -ENOENT;
}

/* Of the file that view.path names. */
static int find_size(const struct search *search, uint64_t *ret)
{
    const struct host_view *view = &search->view;
    OWNED(close_fd) int fd = host_open_file(view->host, view->root_fd, view->path.text);
    struct stat status;

    if (fd < 0)
        return fd;
    if (fstat(fd, &status) < 0)
        return neg_errno();
    if (status.st_size <= 0)
        return -EBADMSG;
    if ((uint64_t)status.st_size > MODEL_WEIGHTS_MAX)
        return -E2BIG;
    *ret = (uint64_t)status.st_size;
    return 0;
}

/* In the folder of the config.json that was found. */
static int find_weights(struct search *search, struct model_weights *ret)
{
    struct host_path *path = &search->view.path, folder = search->view.path;
    struct span place = {folder.text, strlen(folder.text) - strlen("/config.json")};
    int r = host_path_set(path, place, "/model.safetensors.index.json");

    if (r == 0)
        r = host_view_read(&search->view, &ret->index);
    if (r != -ENOENT)
        return r;
    r = host_path_set(path, place, "/");
    if (r == 0)
        r = check_only_safetensors(search);
    if (r == 0)
        r = host_path_set(path, place, "/model.safetensors");
    return r < 0 ? r : find_size(search, &ret->file_bytes);
}

int host_find_model_weights(struct host *host, const struct host_process *process,
                            const struct model_name *name, struct model_weights *ret,
                            struct complaint *complaint)
{
    OWNED(search_done) struct search search;
    OWNED(model_weights_done) struct model_weights found = {.file_bytes = UNKNOWN};
    int r = search_run(&search, host, process, name);

    buf_init(&found.index, MODEL_INDEX_MAX);
    if (r == 0)
        r = find_weights(&search, &found);
    if (r == 0)
        r = host_view_check(&search.view);
    if (r < 0)
        return explain(complaint, &search, r);
    *ret = found;
    found.index = (struct buf){0};
    return 0;
}
