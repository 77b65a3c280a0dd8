// SPDX-License-Identifier: Apache-2.0
#include "daemon/archive.h"

#include "base/clock.h"
#include "base/log.h"

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

enum { FULL_RATE_HOURS = 6, FOLDER_MODE = 0750 };

#define HOUR_MS (INT64_C(3600) * 1000)
#define MIB (UINT64_C(1) << 20)

struct archive {
    struct flight *flight; // NULL: no recordings are kept
    struct board_tap tap;
    struct historian *historian;
    uint64_t newest_event; // of runs before
    char path[PATH_MAX];   // of the database; "": memory alone
    char folder[PATH_MAX]; // that it is in
};

/* The file's folder, without links, and the file in it. */
static int find_place(const char *file, struct archive *archive,
                      struct complaint *complaint)
{
    const char *slash = strrchr(file, '/');
    const char *name = slash ? slash + 1 : file;
    char folder[PATH_MAX];
    struct stat status;
    int n = slash ? snprintf(folder, sizeof(folder), "%.*s/", (int)(slash - file), file)
                  : snprintf(folder, sizeof(folder), "./");

    if (!*name || n < 0 || n >= PATH_MAX)
        return complain(complaint, -EINVAL, "--history %s: not the name of a file", file);
    if (!realpath(folder, archive->folder) || stat(archive->folder, &status) < 0 ||
        !S_ISDIR(status.st_mode)) {
        int r = neg_errno();

        return complain(complaint, r, "--history %s: there is no folder %s: %s", file,
                        folder, strerror(-r));
    }
    n = snprintf(archive->path, sizeof(archive->path), "%s/%s",
                 strcmp(archive->folder, "/") == 0 ? "" : archive->folder, name);
    if (n < 0 || n >= PATH_MAX)
        return complain(complaint, -ENAMETOOLONG, "--history %s: too long", file);
    if (stat(archive->path, &status) == 0 && S_ISDIR(status.st_mode))
        return complain(
            complaint, -EISDIR,
            "--history %s: a folder: name a file in it, such as %s/history.db", file,
            file);
    return 0;
}

int archive_check(const struct config *config, struct complaint *complaint)
{
    struct archive *archive = calloc(1, sizeof(*archive));
    int r = archive ? 0 : complain(complaint, -ENOMEM, "out of memory");

    if (r == 0 && config->history)
        r = find_place(config->history, archive, complaint);
    free(archive);
    return r;
}

static void on_document(void *ctx, int64_t unix_ms, struct span id, struct span document)
{
    flight_add(ctx, unix_ms, id, document);
}

static void on_outage(void *ctx, const char *reason)
{
    flight_add_outage(ctx, (int64_t)clock_unix_ms(), reason);
}

/* Recordings lie beside the database. Without a folder for them there are none. */
static void open_flight(struct archive *archive)
{
    char folder[PATH_MAX];
    int n = snprintf(folder, sizeof(folder), "%s/flight", archive->folder);
    int r = n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;

    if (r == 0 && mkdir(folder, FOLDER_MODE) < 0 && errno != EEXIST)
        r = neg_errno();
    if (r == 0)
        r = flight_new(folder, &archive->flight);
    if (r < 0)
        log_warning("no recordings are kept of what breaks: %s: %s", folder,
                    strerror(-r));
    archive->tap = (struct board_tap){on_document, on_outage, archive->flight};
}

static int open_historian(struct archive *archive, const struct config *config,
                          struct past *past, struct journal *journal)
{
    const struct historian_options options = {
        .past = past,
        .journal = journal,
        .flight = archive->flight,
        .path = archive->path[0] ? archive->path : NULL,
        .folder = archive->folder,
        .limits = {.full_rate_ms = FULL_RATE_HOURS * HOUR_MS,
                   .slots_ms = (int64_t)config->history_days * 24 * HOUR_MS,
                   .events_ms = (int64_t)config->history_days * 24 * HOUR_MS,
                   .bytes = config->history_mib * MIB},
        .interval_ms = config->interval_ms,
        .confine = config->confine,
    };

    return historian_new(&options, &archive->historian);
}

static void note_newest_event(struct archive *archive, struct journal *journal)
{
    struct event newest;

    if (journal_copy(journal, 0, &newest, 1))
        archive->newest_event = newest.id;
}

int archive_open(const struct config *config, struct past *past, struct journal *journal,
                 struct archive **ret, struct complaint *complaint)
{
    struct archive *archive = calloc(1, sizeof(*archive));
    int r = 0;

    if (!archive)
        return complain(complaint, -ENOMEM, "out of memory");
    if (config->history)
        r = find_place(config->history, archive, complaint);
    if (r < 0) {
        archive_free(archive);
        return r;
    }
    if (archive->path[0])
        open_flight(archive);
    r = open_historian(archive, config, past, journal);
    if (r < 0) {
        archive_free(archive);
        return complain(complaint, r, "cannot keep history: %s", strerror(-r));
    }
    note_newest_event(archive, journal);
    *ret = archive;
    return 0;
}

uint64_t archive_newest_event(const struct archive *archive)
{
    return archive->newest_event;
}

void archive_log(const struct archive *archive)
{
    uint64_t errors = historian_errors(archive->historian);

    if (errors == UNKNOWN)
        log_info("history is kept in memory alone; --history FILE outlives the daemon");
    else if (errors == 0)
        log_info("history is kept in %s", archive->path);
}

struct historian *archive_historian(struct archive *archive)
{
    return archive->historian;
}

void archive_alarm(struct archive *archive, enum event_kind kind, int64_t unix_ms)
{
    if (archive->flight && kind != EVENT_KINDS)
        flight_alarm(archive->flight, kind, unix_ms);
}

const struct board_tap *archive_tap(struct archive *archive)
{
    return archive->flight ? &archive->tap : NULL;
}

void archive_stop(struct archive *archive)
{
    if (archive)
        historian_stop(archive->historian);
}

bool archive_ended(struct archive *archive)
{
    return !archive || historian_ended(archive->historian);
}

void archive_free(struct archive *archive)
{
    if (!archive)
        return;
    historian_free(archive->historian);
    flight_free(archive->flight);
    free(archive);
}
