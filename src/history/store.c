// SPDX-License-Identifier: Apache-2.0
#include "history/store.h"

#include "history/store_file.h"
#include "history/store_parts.h"

#include <fcntl.h>
#include <sys/stat.h>

/*
 * A file up to this size is read through when it is opened: 170 MB/s were measured, so
 * that takes a tenth of a second, and 512 MiB would take three. Damage of a larger one is
 * found where it is read, and it is put aside likewise.
 */
#define CHECKED_BYTES (16 << 20)

int store_errno(struct store *store)
{
    int r = store_file_errno(sqlite3_extended_errcode(store->db), store->db);

    if (r == -EBADMSG)
        store->is_damaged = true;
    return r;
}

int store_step(struct store *store, sqlite3_stmt *statement)
{
    int code, r;

    errno = 0; // store_file_errno() looks at it
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        return 1;
    r = code == SQLITE_DONE ? 0 : store_errno(store);
    (void)sqlite3_reset(statement); // says the same once more
    return r;
}

sqlite3_stmt *store_bind(struct store *store, enum store_statement which, size_t n,
                         const int64_t *numbers)
{
    sqlite3_stmt *statement = store->statements[which];

    (void)sqlite3_reset(statement); // says how it ended the last time
    for (size_t i = 0; i < n; i++)
        (void)sqlite3_bind_int64(statement, (int)i + 1, numbers[i]); // cannot fail there
    return statement;
}

int store_run(struct store *store, enum store_statement which, size_t n,
              const int64_t *numbers)
{
    sqlite3_stmt *statement = store_bind(store, which, n, numbers);
    int r;

    do
        r = store_step(store, statement);
    while (r > 0);
    return r;
}

int store_number(struct store *store, enum store_statement which, size_t n,
                 const int64_t *numbers, int64_t none, int64_t *ret)
{
    sqlite3_stmt *statement = store_bind(store, which, n, numbers);
    int r = store_step(store, statement);

    if (r < 0)
        return r;
    *ret = none;
    if (r > 0 && sqlite3_column_type(statement, 0) != SQLITE_NULL)
        *ret = sqlite3_column_int64(statement, 0);
    (void)sqlite3_reset(statement); // the rest is not wanted
    return 0;
}

int store_load(struct store *store)
{
    sqlite3_stmt *row;
    int64_t n_series;
    int r;

    if (store->is_loaded)
        return 0;
    r = store_number(store, STORE_COUNT_SERIES, 0, NULL, 0, &n_series);
    if (r < 0)
        return r;
    row = store_bind(store, STORE_UNDER_WAY, 0, NULL);
    r = store_step(store, row);
    if (r < 0)
        return r;
    store->has_slot = r > 0;
    if (store->has_slot) {
        store->slot_ms = store_floor(sqlite3_column_int64(row, 0), STORE_SLOT_MS);
        store->slot_again = sqlite3_column_int(row, 1) != 0;
    }
    (void)sqlite3_reset(row); // there is one row
    store->n_series = (uint64_t)n_series;
    store->is_loaded = true;
    return 0;
}

/* Is the file still where it was? Who writes into a removed one writes for nobody. */
static int check_place(const struct store *store)
{
    struct stat status;

    if (stat(store->path, &status) < 0)
        return errno == ENOENT ? -ESTALE : neg_errno();
    return status.st_dev == store->device && status.st_ino == store->inode ? 0 : -ESTALE;
}

/* A reader that stays makes the log grow: up to there, then nothing more is written. */
static int check_log(struct store *store)
{
    if (store->wal_pages <= STORE_WAL_PAGES_MAX)
        return 0;
    errno = 0; // store_file_errno() looks at it
    if (sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL,
                                  NULL) != SQLITE_OK)
        return store_errno(store);
    store->wal_pages = 0;
    return 0;
}

int store_begin(struct store *store)
{
    int r;

    if (store->error < 0)
        return store->error;
    if (store->in_batch)
        return 0;
    r = check_place(store);
    if (r == 0)
        r = check_log(store);
    if (r == 0)
        r = store_run(store, STORE_BEGIN, 0, NULL);
    if (r < 0)
        return r;
    store->in_batch = true;
    r = store_load(store);
    if (r < 0)
        store_roll_back(store);
    return r;
}

int store_commit(struct store *store)
{
    int r;

    if (!store->in_batch)
        return 0;
    r = store->error < 0 ? store->error : store_run(store, STORE_COMMIT, 0, NULL);
    if (r < 0) {
        store->error = r;
        return r;
    }
    store->in_batch = false;
    return 0;
}

void store_roll_back(struct store *store)
{
    sqlite3_stmt *roll_back = store_bind(store, STORE_ROLL_BACK, 0, NULL);

    if (!sqlite3_get_autocommit(store->db)) { // some errors roll back by themselves
        (void)sqlite3_step(roll_back); // else the next batch cannot begin, and says so
        (void)sqlite3_reset(roll_back);
    }
    store->in_batch = false;
    store->error = 0;
    store->is_loaded = false;
    store_forget_names(store);
}

/* Called when something was committed: the log has that many pages. */
static int after_commit(void *ctx, sqlite3 *db, const char *name, int pages)
{
    struct store *store = ctx;

    (void)name;
    store->wal_pages = (uint64_t)pages;
    if (pages >= STORE_WAL_PAGES) // waits for no reader; one that fails is tried again
        (void)sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    return SQLITE_OK;
}

static int check_damage(struct store *store, off_t bytes)
{
    sqlite3_stmt *check = NULL;
    int code;

    if (bytes > CHECKED_BYTES)
        return 0;
    errno = 0; // store_file_errno() looks at it
    code = sqlite3_prepare_v2(store->db, "PRAGMA quick_check(1)", -1, &check, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(check);
    if (code == SQLITE_ROW) {
        const char *word = (const char *)sqlite3_column_text(check, 0);

        code = word && strcmp(word, "ok") == 0 ? SQLITE_OK : SQLITE_CORRUPT;
    }
    (void)sqlite3_finalize(check); // says the same once more
    return code == SQLITE_OK ? 0 : store_file_errno(code, store->db);
}

/* The statements that are run at once touch each table's beginning and end. */
static int try_reading(struct store *store)
{
    static const enum store_statement tried[] = {STORE_NEWEST_SAMPLE, STORE_NEWEST_SLOT,
                                                 STORE_NEWEST_EVENT,  STORE_OLDEST_SAMPLE,
                                                 STORE_OLDEST_SLOT,   STORE_OLDEST_EVENT};
    int64_t number;
    int r = store_load(store);

    for (size_t i = 0; r == 0 && i < ARRAY_LEN(tried); i++)
        r = store_number(store, tried[i], 0, NULL, 0, &number);
    return r;
}

static void close_database(struct store *store)
{
    for (size_t i = 0; i < STORE_STATEMENTS; i++) {
        (void)sqlite3_finalize(store->statements[i]); // says how it ended
        store->statements[i] = NULL;
    }
    (void)sqlite3_close(store->db); // what was committed is safe in any case
    store->db = NULL;
    store->is_loaded = false;
    store_forget_names(store);
}

static int why_read_only(const char *path)
{
    OWNED(close_fd) int fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);

    return fd < 0 ? neg_errno() : -EROFS;
}

/* The file is there and says that it is ours. */
static int open_database(struct store *store)
{
    struct stat status;
    int code;

    if (stat(store->path, &status) < 0)
        return neg_errno();
    store->device = status.st_dev;
    store->inode = status.st_ino;
    errno = 0; // store_file_errno() looks at it
    code = sqlite3_open_v2(store->path, &store->db,
                           SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
                               SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE,
                           NULL);
    if (code == SQLITE_OK && sqlite3_db_readonly(store->db, "main") == 1)
        return why_read_only(store->path);
    if (code == SQLITE_OK)
        code = store_set_up(store->db);
    if (code == SQLITE_OK) {
        (void)sqlite3_wal_hook(store->db, after_commit, store); // there was none before
        code = store_prepare_statements(store);
    }
    // Statements that do not fit the tables: they are not those that we have made.
    if (code == SQLITE_ERROR)
        return -EBADMSG;
    if (code != SQLITE_OK)
        return store_file_errno(code, store->db);
    return check_damage(store, status.st_size);
}

static int put_aside(struct store *store, struct complaint *complaint)
{
    int r;

    close_database(store);
    r = store_file_put_aside(store->path);
    if (r < 0)
        return complain(complaint, r, "%s is damaged, and cannot be put aside: %s",
                        store->path, strerror(-r));
    r = store_file_make(store->path, complaint);
    if (r < 0)
        return r;
    (void)complain(complaint, 0,
                   "%s was damaged: it is %s.damaged now, and history begins anew",
                   store->path, store->path);
    return 0;
}

static int open_file(struct store *store, struct complaint *complaint)
{
    int r = store_file_look(store->path, complaint);

    if (r == 0)
        r = store_file_make(store->path, complaint);
    if (r < 0 && r != -EBADMSG)
        return r;
    if (r >= 0) {
        r = open_database(store);
        if (r == 0)
            r = try_reading(store);
    }
    if (r == -EBADMSG) {
        r = put_aside(store, complaint);
        if (r < 0)
            return r;
        r = open_database(store);
        if (r == 0)
            r = store_load(store);
    }
    if (r < 0)
        return complain(complaint, r, "cannot open %s: %s", store->path, strerror(-r));
    return 0;
}

int store_open(const char *path, const struct store_limits *limits, struct store **ret,
               struct complaint *complaint)
{
    struct store *store = calloc(1, sizeof(*store));
    int r;

    complaint->text[0] = '\0';
    if (!store)
        return complain(complaint, -ENOMEM, "%s: no memory", path);
    store->lock = -1;
    store->limits = *limits;
    r = store_file_resolve(path, &store->path, complaint);
    if (r == 0)
        r = store_file_look(
            store->path,
            complaint); // beside what is not ours nothing is made, no lock even
    if (r >= 0 || r == -EBADMSG)
        r = store_file_lock(store->path, &store->lock, complaint);
    if (r == 0)
        r = open_file(store, complaint);
    if (r < 0) {
        store->is_damaged = false; // put aside already, or left as it is
        store_close(store);
        return r == -EEXIST ? -EBADMSG : r;
    }
    store->is_damaged = false;
    *ret = store;
    return 0;
}

void store_close(struct store *store)
{
    int r = 0;

    if (!store)
        return;
    if (store->in_batch && store_commit(store) < 0)
        store_roll_back(store);
    close_database(store);
    if (store->is_damaged)
        r = store_file_put_aside(store->path);
    (void)r; // where it could not, whoever opens it finds out again
    close_fd(&store->lock);
    free(store->path);
    free(store);
}
