// SPDX-License-Identifier: Apache-2.0
#include "host/model_files.h"

#include "base/text.h"
#include "host/host_proc.h"
#include "host/host_root.h"
#include "host/host_text.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

enum {
    NAME_MAX_BYTES = 96, // of each part, as the hub has it
    REVISION_MAX = 128,
    PASSWD_MAX = 1 << 20,
    REF_MAX = 256,
    ENTRIES_MAX = 4096, // of a snapshots folder
};

struct path {
    char text[HOST_PATH_MAX];
};

/* What one search shares. `path` is what was looked at last. */
struct search {
    const struct host *host;
    const struct host_process *process;
    const struct model_name *name;
    int process_fd;
    int root_fd;
    struct path path;
    bool has_environment;
    struct buf environment;
    struct buf text;
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
    (void)text_clean(shown, sizeof(shown), span_of(search->path.text));
    return complain(complaint, r, "\"%s\" of process %u: %s", shown, search->process->pid,
                    reason);
}

static int path_set(struct path *path, struct span start, const char *rest)
{
    int n = start.len < HOST_PATH_MAX ? snprintf(path->text, sizeof(path->text), "%.*s%s",
                                                 (int)start.len, start.at, rest)
                                      : HOST_PATH_MAX;

    return n < 0 || n >= HOST_PATH_MAX ? -ENAMETOOLONG : 0;
}

static int path_add(struct path *path, struct span more)
{
    size_t len = strlen(path->text);

    if (len > 0 && path->text[len - 1] == '/')
        len--;
    if (more.len + 1 >= sizeof(path->text) - len)
        return -ENAMETOOLONG;
    path->text[len] = '/';
    memcpy(path->text + len + 1, more.at, more.len);
    path->text[len + 1 + more.len] = '\0';
    return 0;
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

/* Read config.json in the folder that search->path names. */
static int read_config(struct search *search)
{
    int r = path_add(&search->path, span_of("config.json"));

    if (r < 0)
        return r;
    return host_read_file(search->host, search->root_fd, search->path.text,
                          &search->text);
}

static int read_environment(struct search *search)
{
    int r = path_set(&search->path, span_of("environ"), "");

    if (r == 0)
        r = host_read_whole(search->process_fd, "environ", HOST_ENVIRON_MAX,
                            &search->environment);
    search->has_environment = r == 0;
    return r;
}

/* The value of the first of `names` that is set and not empty. */
static int find_first(struct search *search, const char *const *names, struct span *ret)
{
    int r = search->has_environment ? 0 : read_environment(search);

    if (r < 0)
        return r;
    for (; *names; names++) {
        r = host_find_variable(buf_span(&search->environment), *names, ret);
        if (r < 0 && r != -ENOENT)
            return r;
        if (r == 0 && ret->len > 0)
            return 0;
    }
    return -ENOENT;
}

/* That of its user in its own /etc/passwd, which counts where HOME is not set. */
static int find_passwd_home(struct search *search, struct path *ret)
{
    OWNED(buf_done) struct buf passwd;
    struct span home;
    struct stat status;
    int r;

    buf_init(&passwd, PASSWD_MAX);
    r = path_set(&search->path, span_of("/etc/passwd"), "");
    if (r < 0)
        return r;
    if (fstat(search->process_fd, &status) < 0)
        return neg_errno();
    r = host_read_file(search->host, search->root_fd, search->path.text, &passwd);
    if (r < 0)
        return r;
    r = host_find_home(buf_span(&passwd), status.st_uid, &home);
    return r < 0 ? -ENODATA : path_set(ret, home, "");
}

static int find_home(struct search *search, struct path *ret)
{
    static const char *const names[] = {"HOME", NULL};
    struct span home;
    int r = find_first(search, names, &home);

    if (r == -ENOENT)
        return find_passwd_home(search, ret);
    return r < 0 ? r : path_set(ret, home, "");
}

/* A link's text. What is no link (a tree made for a test) is "/". */
static int read_link(const struct search *search, const char *name, struct path *ret)
{
    ssize_t n = readlinkat(search->process_fd, name, ret->text, sizeof(ret->text));
    int r;

    if (n < 0) {
        r = neg_errno();
        if (r == -EINVAL)
            return path_set(ret, span_of("/"), "");
        return host_is_gone(r) ? -ESRCH : r;
    }
    if ((size_t)n == sizeof(ret->text))
        return -ENAMETOOLONG;
    ret->text[n] = '\0';
    return 0;
}

/*
 * The working folder as the process names it. The kernel names both from our root: of a
 * process under chroot, its root is cut off. A container's root reads "/".
 */
static int find_cwd(const struct search *search, struct path *ret)
{
    struct path root, cwd;
    size_t len;
    int r = read_link(search, "root", &root);

    if (r < 0)
        return r;
    r = read_link(search, "cwd", &cwd);
    if (r < 0)
        return r;
    len = strcmp(root.text, "/") == 0 ? 0 : strlen(root.text);
    if (strncmp(cwd.text, root.text, len) != 0 ||
        (cwd.text[len] != '/' && cwd.text[len] != '\0'))
        return -ENOENT; // it works outside of its own root
    return path_set(ret, span_of(cwd.text + len), "");
}

/* Make a path that the process was given absolute: ~ is its home. */
static int resolve(struct search *search, struct span given, struct path *ret)
{
    bool is_home = host_starts_with(given, "~") && (given.len == 1 || given.at[1] == '/');
    int r;

    if (host_starts_with(given, "/"))
        return path_set(ret, given, "");
    r = is_home ? find_home(search, ret) : find_cwd(search, ret);
    if (r < 0)
        return r;
    if (is_home) {
        size_t skipped = MIN(given.len, sizeof("~/") - 1);

        given = (struct span){given.at + skipped, given.len - skipped};
    }
    return path_add(ret, given);
}

/*
 * In the order of huggingface_hub's constants.py:
 * $HF_HUB_CACHE, $HUGGINGFACE_HUB_CACHE, $HF_HOME/hub, $XDG_CACHE_HOME/huggingface/hub,
 * ~/.cache/huggingface/hub
 */
static int find_cache(struct search *search, struct path *ret)
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

        r = find_first(search, places[i].names, &given);
        if (r == -ENOENT)
            continue;
        if (r == 0)
            r = resolve(search, given, ret);
        if (r == 0 && places[i].rest)
            r = path_add(ret, span_of(places[i].rest));
        return r;
    }
    r = find_home(search, ret);
    return r < 0 ? r : path_add(ret, span_of(".cache/huggingface/hub"));
}

/* CACHE/models--ORG--NAME */
static int find_repository(struct search *search, struct path *ret)
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
    return path_add(ret, span_of(name));
}

/* What refs/REVISION says: the name of a snapshot. */
static int read_ref(struct search *search, const struct path *repository,
                    const char *revision, struct path *ret)
{
    OWNED(buf_done) struct buf ref;
    struct span text, rest;
    int r = path_set(&search->path, span_of(repository->text), "/refs");

    buf_init(&ref, REF_MAX);
    if (r == 0)
        r = path_add(&search->path, span_of(revision));
    if (r == 0)
        r = host_read_file(search->host, search->root_fd, search->path.text, &ref);
    if (r < 0)
        return r;
    rest = buf_span(&ref);
    if (!host_take_until(&rest, '\n', &text) || rest.len || !model_is_revision(text) ||
        memchr(text.at, '/', text.len))
        return -EBADMSG;
    return path_set(ret, text, "");
}

static void close_dir(DIR **dir)
{
    if (*dir)
        (void)closedir(*dir); // only read
}

/* The only entry of an open folder. -ENOTUNIQ: there are several. */
static int find_only_entry(DIR *dir, struct path *ret)
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
        r = path_set(ret, span_of(entry->d_name), "");
        if (r < 0)
            return r;
    }
    return r;
}

static int find_only_snapshot(struct search *search, const struct path *repository,
                              struct path *ret)
{
    OWNED(close_dir) DIR *dir = NULL;
    int fd, r = path_set(&search->path, span_of(repository->text), "/snapshots");

    if (r < 0)
        return r;
    fd = host_open_folder(search->root_fd, search->path.text);
    if (fd < 0)
        return fd;
    dir = fdopendir(fd);
    if (!dir) {
        r = neg_errno();
        (void)close(fd); // only read
        return r;
    }
    return find_only_entry(dir, ret);
}

/* A revision that is not a ref is the name of a snapshot itself. */
static int find_snapshot(struct search *search, const struct path *repository,
                         struct path *ret)
{
    const char *revision = search->name->revision ? search->name->revision : "main";
    int r;

    if (!model_is_revision(span_of(revision)))
        return -EINVAL;
    r = read_ref(search, repository, revision, ret);
    if (r != -ENOENT && r != -ENOTDIR)
        return r;
    if (search->name->revision)
        return path_set(ret, span_of(revision), "");
    return find_only_snapshot(search, repository, ret);
}

static int find_in_hub_cache(struct search *search)
{
    struct path repository, snapshot;
    int r = find_repository(search, &repository);

    if (r == 0)
        r = find_snapshot(search, &repository, &snapshot);
    if (r == 0)
        r = path_set(&search->path, span_of(repository.text), "/snapshots");
    if (r == 0)
        r = path_add(&search->path, span_of(snapshot.text));
    return r < 0 ? r : read_config(search);
}

static int find_in_folder(struct search *search)
{
    int r = resolve(search, span_of(search->name->model), &search->path);

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
    r = path_set(&search->path, model, "");
    return r < 0 ? r : -EINVAL;
}

static int search_open(struct search *search)
{
    search->root_fd = host_open_root(search->host, search->process);
    if (search->root_fd < 0)
        return search->root_fd;
    search->process_fd = host_open_same(search->host, search->process);
    return MIN(search->process_fd, 0);
}

static void search_done(struct search *search)
{
    close_fd(&search->root_fd);
    close_fd(&search->process_fd);
    buf_done(&search->environment);
    buf_done(&search->text);
}

int host_find_model_config(struct host *host, const struct host_process *process,
                           const struct model_name *name, struct model_file *ret,
                           struct complaint *complaint)
{
    OWNED(search_done)
    struct search search = {
        .host = host, .process = process, .name = name, .process_fd = -1, .root_fd = -1};
    int r = path_set(&search.path, span_of(name->model), "");

    buf_init(&search.environment, HOST_ENVIRON_MAX);
    buf_init(&search.text, MODEL_FILE_MAX);
    if (r == 0)
        r = search_open(&search);
    if (r == 0)
        r = find_config(&search);
    if (r == 0)
        r = host_check_same(search.process_fd, process);
    if (r < 0)
        return explain(complaint, &search, r);
    (void)text_clean(ret->path, sizeof(ret->path), span_of(search.path.text));
    ret->text = search.text;
    search.text = (struct buf){0};
    return 0;
}
