// SPDX-License-Identifier: Apache-2.0
#include "history/store_parts.h"

#define TEXT_OF(number) #number
#define VALUE_OF(number) TEXT_OF(number)

/* The enum's, as SQL writes it; compared below. */
#define APPLICATION_ID 1987210611
#define VERSION 1
_Static_assert(APPLICATION_ID == STORE_APPLICATION_ID && VERSION == STORE_VERSION,
               "the schema's are the program's");

/* Units are in the names; NULL: not known. docs/history.md tells it to people. */
// clang-format off
static const char schema[] =
    "PRAGMA page_size=4096;"
    "PRAGMA auto_vacuum=INCREMENTAL;"
    "BEGIN;"
    "PRAGMA application_id=" VALUE_OF(APPLICATION_ID) ";"
    "PRAGMA user_version=" VALUE_OF(VERSION) ";"
    "CREATE TABLE series("
    " id INTEGER PRIMARY KEY," // 0: the host
    " model TEXT,"
    " model_id TEXT,"
    " port INTEGER,"
    " UNIQUE(model, model_id, port));"
    "INSERT INTO series(id) VALUES(0);"
    "CREATE TABLE sample("
    " series INTEGER NOT NULL,"
    " unix_ms INTEGER NOT NULL,"
    " allocated_vram_bytes INTEGER,"
    " used_kv_cache_bytes INTEGER,"
    " kv_pool_bytes INTEGER,"
    " prefix_cache_hit_percent REAL,"
    " num_requests_running INTEGER,"
    " num_requests_waiting INTEGER,"
    " num_preemptions_total INTEGER,"
    " PRIMARY KEY(series, unix_ms)) WITHOUT ROWID;"
    "CREATE TABLE slot("
    " series INTEGER NOT NULL,"
    " unix_ms INTEGER NOT NULL,"
    " n INTEGER NOT NULL,"
    " allocated_vram_bytes_mean INTEGER,"
    " allocated_vram_bytes_min INTEGER,"
    " allocated_vram_bytes_max INTEGER,"
    " used_kv_cache_bytes_mean INTEGER,"
    " used_kv_cache_bytes_min INTEGER,"
    " used_kv_cache_bytes_max INTEGER,"
    " kv_pool_bytes_mean INTEGER,"
    " kv_pool_bytes_min INTEGER,"
    " kv_pool_bytes_max INTEGER,"
    " prefix_cache_hit_percent_mean REAL,"
    " prefix_cache_hit_percent_min REAL,"
    " prefix_cache_hit_percent_max REAL,"
    " num_requests_running_mean REAL,"
    " num_requests_running_min INTEGER,"
    " num_requests_running_max INTEGER,"
    " num_requests_waiting_mean REAL,"
    " num_requests_waiting_min INTEGER,"
    " num_requests_waiting_max INTEGER,"
    " allocated_vram_bytes_n INTEGER," // NULL: in all n of them, or in none
    " used_kv_cache_bytes_n INTEGER,"
    " kv_pool_bytes_n INTEGER,"
    " prefix_cache_hit_percent_n INTEGER,"
    " num_requests_running_n INTEGER,"
    " num_requests_waiting_n INTEGER,"
    " preemptions INTEGER,"
    " PRIMARY KEY(series, unix_ms)) WITHOUT ROWID;"
    "CREATE TABLE event("
    " id INTEGER PRIMARY KEY AUTOINCREMENT," // the highest that ever was is remembered
    " unix_ms INTEGER NOT NULL,"
    " kind TEXT NOT NULL,"
    " severity TEXT NOT NULL,"
    " model TEXT,"
    " port INTEGER,"
    " device TEXT,"
    " text TEXT NOT NULL);"
    "CREATE INDEX event_time ON event(unix_ms);"
    "CREATE TABLE under_way("
    " id INTEGER PRIMARY KEY CHECK(id = 0),"
    " slot_unix_ms INTEGER NOT NULL,"
    " again INTEGER NOT NULL);"
    "CREATE VIEW samples AS"
    " SELECT strftime('%Y-%m-%dT%H:%M:%fZ', unix_ms / 1000.0, 'unixepoch') AS time,"
    " model, port, sample.* FROM sample JOIN series ON series.id = sample.series;"
    "CREATE VIEW slots AS"
    " SELECT strftime('%Y-%m-%dT%H:%M:%SZ', unix_ms / 1000, 'unixepoch') AS time,"
    " model, port, slot.* FROM slot JOIN series ON series.id = slot.series;"
    "CREATE VIEW events AS"
    " SELECT strftime('%Y-%m-%dT%H:%M:%fZ', unix_ms / 1000.0, 'unixepoch') AS time, event.*"
    " FROM event;"
    "COMMIT;";
// clang-format on

int store_make_schema(sqlite3 *db)
{
    return sqlite3_exec(db, schema, NULL, NULL, NULL);
}

/*
 * What a killed program has committed is in the log, and read from there; so is what was
 * committed before a machine loses power: FULL waits for the disk at each commit, of which
 * there is one a minute. Debian's SQLite would overwrite all that is removed with zeros: as
 * much writing again, and no secret.
 */
static const char settings[] = "PRAGMA journal_mode=WAL;"
                               "PRAGMA synchronous=FULL;"
                               "PRAGMA journal_size_limit=4194304;"
                               "PRAGMA cache_size=-256;"
                               "PRAGMA temp_store=MEMORY;"
                               "PRAGMA mmap_size=0;"
                               "PRAGMA secure_delete=OFF;"
                               "PRAGMA trusted_schema=OFF;"
                               "PRAGMA cell_size_check=ON;";

int store_set_up(sqlite3 *db)
{
    int r = sqlite3_busy_timeout(db, STORE_BUSY_MS);

    if (r == SQLITE_OK)
        r = sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    if (r == SQLITE_OK)
        r = sqlite3_exec(db, settings, NULL, NULL, NULL);
    return r;
}

#define SAMPLE_COLUMNS                                                \
    "unix_ms, allocated_vram_bytes, used_kv_cache_bytes, "            \
    "kv_pool_bytes, prefix_cache_hit_percent, num_requests_running, " \
    "num_requests_waiting, num_preemptions_total"

/* Numbers of parameters are the places in store_bind()'s numbers. */
static const char *const statements[STORE_STATEMENTS] = {
    [STORE_BEGIN] = "BEGIN IMMEDIATE",
    [STORE_COMMIT] = "COMMIT",
    [STORE_ROLL_BACK] = "ROLLBACK",

    // A time that is taken is another's: who adds finds a free one.
    [STORE_ADD_SAMPLE] = "INSERT OR IGNORE INTO sample(series, " SAMPLE_COLUMNS
                         ") VALUES(?,?,?,?,?,?,?,?,?)",
    [STORE_FIND_SERIES] = "SELECT id FROM series WHERE model=? AND model_id=? AND port=?",
    [STORE_ADD_SERIES] = "INSERT INTO series(model, model_id, port) VALUES(?,?,?)",
    [STORE_COUNT_SERIES] = "SELECT count(*) FROM series",
    [STORE_UNDER_WAY] = "SELECT slot_unix_ms, again FROM under_way",
    [STORE_SET_UNDER_WAY] =
        "INSERT OR REPLACE INTO under_way(id, slot_unix_ms, again) VALUES(0,?,?)",
    [STORE_END_UNDER_WAY] = "DELETE FROM under_way",

    [STORE_SERIES_WITH_SAMPLES] =
        "SELECT id FROM series WHERE EXISTS(SELECT 1 FROM sample"
        " WHERE sample.series=series.id AND unix_ms>=?1 AND unix_ms<?2)",
    [STORE_HAS_SAMPLE] =
        "SELECT 1 FROM sample WHERE series=? AND unix_ms>=? AND unix_ms<? LIMIT 1",
    [STORE_SAMPLES] = "SELECT " SAMPLE_COLUMNS " FROM sample"
                      " WHERE series=? AND unix_ms>=? AND unix_ms<? ORDER BY unix_ms",
    [STORE_SLOTS] = "SELECT * FROM slot"
                    " WHERE series=? AND unix_ms>=? AND unix_ms<? ORDER BY unix_ms",
    [STORE_PUT_SLOT] = "INSERT OR REPLACE INTO slot"
                       " VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    [STORE_REMOVE_SAMPLES] =
        "DELETE FROM sample WHERE series=? AND unix_ms>=? AND unix_ms<?",

    // One that is there is the same one: its commit was taken for a failure.
    [STORE_ADD_EVENT] = "INSERT OR IGNORE INTO event(id, unix_ms, port, kind, severity, "
                        "model, device, text)"
                        " VALUES(?,?,?,?,?,?,?,?)",
    [STORE_NEWEST_SAMPLE] = "SELECT max(unix_ms) FROM sample WHERE series=0",
    [STORE_NEWEST_SLOT] = "SELECT max(unix_ms) FROM slot WHERE series=0",
    [STORE_NEWEST_EVENT] = "SELECT seq FROM sqlite_sequence WHERE name='event'",
    [STORE_EVENTS] = "SELECT id, unix_ms, port, kind, model, device, text FROM event"
                     " ORDER BY id DESC LIMIT ?",
    [STORE_SERIES_BETWEEN] =
        "SELECT id, model, model_id, port FROM series"
        " WHERE (?3='' OR model=?3 OR model_id=?3) AND (EXISTS(SELECT 1 FROM slot"
        " WHERE slot.series=series.id AND unix_ms>=?1 AND unix_ms<?2)"
        " OR EXISTS(SELECT 1 FROM sample"
        " WHERE sample.series=series.id AND unix_ms>=?1 AND unix_ms<?2))"
        " ORDER BY id<>0, port, model, model_id",

    // Each asks the primary key once a series, which it begins with.
    [STORE_OLDEST_SAMPLE] = "SELECT min((SELECT min(unix_ms) FROM sample"
                            " WHERE sample.series=series.id)) FROM series",
    [STORE_OLDEST_SLOT] = "SELECT min((SELECT min(unix_ms) FROM slot"
                          " WHERE slot.series=series.id)) FROM series",
    [STORE_OLDEST_EVENT] = "SELECT min(unix_ms) FROM event",
    // Of a pause ?2 at most has passed; the last slot has its ten seconds.
    [STORE_TIME_SEEN] =
        "SELECT min(unix_ms) + sum(min(coalesce(next - unix_ms, 10000), ?2)) FROM"
        " (SELECT unix_ms, lead(unix_ms) OVER (ORDER BY unix_ms) AS next FROM"
        " (SELECT unix_ms FROM slot WHERE series=0 ORDER BY unix_ms DESC LIMIT ?1))",
    [STORE_TRIM_SAMPLES] =
        "DELETE FROM sample WHERE series IN (SELECT id FROM series) AND unix_ms<?",
    [STORE_TRIM_SLOTS] =
        "DELETE FROM slot WHERE series IN (SELECT id FROM series) AND unix_ms<?",
    [STORE_TRIM_EVENTS] = "DELETE FROM event WHERE unix_ms<?",
    [STORE_TRIM_SERIES] =
        "DELETE FROM series WHERE id<>0"
        " AND NOT EXISTS(SELECT 1 FROM slot WHERE slot.series=series.id)"
        " AND NOT EXISTS(SELECT 1 FROM sample WHERE sample.series=series.id)",
    [STORE_PAGES] = "PRAGMA page_count",
    [STORE_FREE_PAGES] = "PRAGMA freelist_count",
    [STORE_VACUUM] = "PRAGMA incremental_vacuum(256)",
};

int store_prepare_statements(struct store *store)
{
    int r = SQLITE_OK;

    for (size_t i = 0; r == SQLITE_OK && i < STORE_STATEMENTS; i++)
        r = sqlite3_prepare_v3(store->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &store->statements[i], NULL);
    return r;
}
