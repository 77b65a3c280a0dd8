// SPDX-License-Identifier: Apache-2.0
/*
 * Scripts of a host, tick by tick, and what is told of it. Words of a script:
 *
 *   a: b: c: d:        the engine (ports 8000 to 8003) that what follows is about
 *   loading starting ready sleeping unreachable disabled   its state; it is there from then on
 *   gone               it has no row
 *   name=X port=N pid=N since=N (ticks) why=X stale fresh mute     its row; mute: no page comes in
 *   held=N kv=N pool=N off=N (GiB; off: error of the pool) used=N (percent) preempted=N queries=N blocks=N dp=N source=X
 *   on=N               bits of the devices that it holds memory on
 *   gpu0: gpu1: gpu2:  the device that what follows is about
 *   known unknown vanished mig=N (a part of gpuN) orphan=N (GiB; ? of unknown size; - none)
 *   driver=X           version
 *   outage over        no device's memory is known; it is again
 *   +N                 N seconds pass, a tick each half second
 *
 * Numbers may be "?", unknown. What is told is "SECONDS kind subject", comma between two.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "history/watch.h"

#include <math.h>
#include <stdio.h>

enum { ENGINES = 4, DEVICES = 3, TICK_MS = 500, TOLD_SIZE = 8192 };

#define MS UINT64_C(1000000)
#define GIB (UINT64_C(1) << 30)
#define START_NS (1000000 * MS)

struct host {
    struct snapshot_model models[ENGINES];
    bool there[ENGINES];
    bool mute[ENGINES];
    struct snapshot_device devices[DEVICES];
    bool listed[DEVICES];
    double orphan[DEVICES]; // GiB; NAN: of unknown size; below 0: none
    char driver[32];
    bool outage;
    uint64_t now_ns;
    size_t model, device; // that the words are about
};

static struct host host;
static struct snapshot_pool *pool;
static struct journal *journal;
static struct watch *watch;
static uint64_t seen_id;
static char told[TOLD_SIZE];
static char texts[TOLD_SIZE];

/* ---- What happens ---- */

static void reset_model(struct snapshot_model *model, size_t i)
{
    *model = (struct snapshot_model){
        .port = (uint16_t)(8000 + i), .state = ENGINE_READY, .pid = (uint32_t)(100 + i)};
    (void)snprintf(model->served_name, sizeof(model->served_name), "%c",
                   (char)('a' + (int)i));
    model->kv_pool_bytes = figure_unknown("test");
    model->kv_used_bytes = figure_unknown("test");
    model->allocated_bytes = figure_unknown("test");
    engine_page_clear(&model->page);
    model->page.engines = 1;
    model->kv_source = "test";
}

static void reset_host(void)
{
    host = (struct host){.now_ns = START_NS};
    for (size_t i = 0; i < ENGINES; i++)
        reset_model(&host.models[i], i);
    for (size_t i = 0; i < DEVICES; i++) {
        struct snapshot_device *device = &host.devices[i];

        device->index = (uint32_t)i;
        device->instance = GPU_NO_INSTANCE;
        (void)snprintf(device->uuid, sizeof(device->uuid), "GPU-%zu", i);
        (void)snprintf(device->name, sizeof(device->name), "H100");
        device->mem_total_bytes = 80 * GIB;
        host.listed[i] = i < 2;
        host.orphan[i] = -1;
    }
    (void)snprintf(host.driver, sizeof(host.driver), "550.1");
    told[0] = texts[0] = '\0';
    seen_id = 0;
}

static void add_orphan(struct snapshot *snapshot, uint32_t device, double gib)
{
    struct snapshot_process *process = &snapshot->processes[snapshot->n_processes++];

    *process =
        (struct snapshot_process){.pid = 7, .device = device, .owner = OWNER_ORPHAN};
    process->bytes = isnan(gib) ? UNKNOWN : (uint64_t)(gib * (double)GIB);
    if (!isnan(gib))
        snapshot->devices[device].orphan_bytes = process->bytes;
}

static struct snapshot *make_snapshot(void)
{
    struct snapshot *snapshot = snapshot_new(pool);

    assert_non_null(snapshot);
    snapshot->taken_ns = host.now_ns;
    snapshot->unix_ms = host.now_ns / MS;
    snapshot->n_sources = 1;
    snapshot->sources[0] = (struct gpu_source_state){.backend = "nvml"};
    memcpy(snapshot->sources[0].driver_version, host.driver, sizeof(host.driver));
    for (size_t i = 0; i < DEVICES; i++) {
        if (!host.listed[i])
            continue;
        snapshot->devices[snapshot->n_devices] = host.devices[i];
        if (!(host.orphan[i] < 0))
            add_orphan(snapshot, snapshot->n_devices, host.orphan[i]);
        snapshot->n_devices++;
    }
    for (size_t i = 0; i < ENGINES; i++)
        if (host.there[i])
            snapshot->models[snapshot->n_models++] = host.models[i];
    return snapshot;
}

static void note_events(void)
{
    struct event event;

    while (journal_next(journal, seen_id, &event)) {
        size_t len = strlen(told), texts_len = strlen(texts);

        assert_int_equal(event.id, seen_id + 1);
        seen_id = event.id;
        (void)snprintf(told + len, sizeof(told) - len, "%s%g %s%s%s%s%s", len ? ", " : "",
                       (double)(event.unix_ms - (int64_t)(START_NS / MS)) / 1000,
                       event_name(event.kind), event.served_name[0] ? " " : "",
                       event.served_name, event.device[0] ? " " : "", event.device);
        (void)snprintf(texts + texts_len, sizeof(texts) - texts_len, "%s\n", event.text);
    }
}

static void tick(void)
{
    struct snapshot *snapshot;

    for (size_t i = 0; i < ENGINES; i++) {
        enum engine_state state = host.models[i].state;

        if (!host.mute[i] && (state == ENGINE_READY || state == ENGINE_SLEEPING))
            host.models[i].page_ns = host.now_ns;
    }
    if (host.outage) {
        watch_see_outage(watch, "the driver is gone", host.now_ns,
                         (int64_t)(host.now_ns / MS));
    } else {
        snapshot = make_snapshot();
        watch_see(watch, snapshot);
        snapshot_unref(snapshot);
    }
    note_events();
    host.now_ns += TICK_MS * MS;
}

/* ---- Words ---- */

static const char *const states[] = {
    [ENGINE_LOADING] = "loading",
    [ENGINE_STARTING] = "starting",
    [ENGINE_READY] = "ready",
    [ENGINE_SLEEPING] = "sleeping",
    [ENGINE_METRICS_DISABLED] = "disabled",
    [ENGINE_UNREACHABLE] = "unreachable",
};

static bool take_state(const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(states); i++)
        if (strcmp(word, states[i]) == 0) {
            host.models[host.model].state = (enum engine_state)i;
            host.there[host.model] = true;
            return true;
        }
    return false;
}

static uint64_t count_of(const char *text)
{
    return *text == '?' ? UNKNOWN : strtoull(text, NULL, 10);
}

static struct figure gib_of(const char *text)
{
    if (*text == '?')
        return figure_unknown("test");
    return figure_of((uint64_t)(strtod(text, NULL) * (double)GIB), MEASURED, NULL);
}

static bool take_value(const char *key, const char *value)
{
    struct snapshot_model *model = &host.models[host.model];

    if (strcmp(key, "name") == 0)
        (void)snprintf(model->served_name, sizeof(model->served_name), "%s", value);
    else if (strcmp(key, "why") == 0)
        (void)snprintf(model->why, sizeof(model->why), "%s", value);
    else if (strcmp(key, "source") == 0)
        model->kv_source = strcmp(value, "log") == 0 ? "log" : "test";
    else if (strcmp(key, "port") == 0)
        model->port = (uint16_t)count_of(value);
    else if (strcmp(key, "pid") == 0)
        model->pid = (uint32_t)count_of(value);
    else if (strcmp(key, "since") == 0)
        model->start_ticks = count_of(value);
    else if (strcmp(key, "held") == 0)
        model->allocated_bytes = gib_of(value);
    else if (strcmp(key, "kv") == 0)
        model->kv_used_bytes = gib_of(value);
    else if (strcmp(key, "pool") == 0)
        model->kv_pool_bytes = gib_of(value);
    else if (strcmp(key, "off") == 0)
        model->kv_pool_bytes.error = gib_of(value).value;
    else if (strcmp(key, "used") == 0)
        model->page.kv_usage_ratio =
            *value == '?' ? (double)NAN : strtod(value, NULL) / 100;
    else if (strcmp(key, "preempted") == 0)
        model->page.preemptions = count_of(value);
    else if (strcmp(key, "queries") == 0)
        model->page.prefix.queries = strtod(value, NULL);
    else if (strcmp(key, "blocks") == 0)
        model->page.kv_blocks = count_of(value);
    else if (strcmp(key, "dp") == 0)
        model->page.engines = (uint32_t)count_of(value);
    else if (strcmp(key, "on") == 0)
        model->devices = count_of(value);
    else
        return false;
    return true;
}

static bool take_host_value(const char *key, const char *value)
{
    struct snapshot_device *device = &host.devices[host.device];

    if (strcmp(key, "orphan") == 0)
        host.orphan[host.device] = *value == '-'   ? -1
                                   : *value == '?' ? (double)NAN
                                                   : strtod(value, NULL);
    else if (strcmp(key, "driver") == 0)
        (void)snprintf(host.driver, sizeof(host.driver), "%s",
                       *value == '?' ? "" : value);
    else if (strcmp(key, "mig") == 0)
        (void)snprintf(device->parent_uuid, sizeof(device->parent_uuid), "GPU-%s", value);
    else
        return false;
    return true;
}

static bool take_word(const char *word)
{
    struct snapshot_device *device = &host.devices[host.device];

    if (strcmp(word, "gone") == 0)
        host.there[host.model] = false;
    else if (strcmp(word, "stale") == 0 || strcmp(word, "fresh") == 0)
        host.models[host.model].stale = *word == 's';
    else if (strcmp(word, "mute") == 0 || strcmp(word, "speaks") == 0)
        host.mute[host.model] = *word == 'm';
    else if (strcmp(word, "known") == 0 || strcmp(word, "unknown") == 0)
        device->mem_used_bytes = *word == 'k' ? 0 : UNKNOWN;
    else if (strcmp(word, "outage") == 0 || strcmp(word, "over") == 0)
        host.outage = strcmp(word, "outage") == 0;
    else
        return take_state(word);
    if (device->mem_used_bytes == 0 && strcmp(word, "known") == 0)
        host.listed[host.device] = true;
    return true;
}

static void take(char *word)
{
    char *value = strchr(word, '=');
    size_t len = strlen(word);

    if (*word == '+') {
        uint64_t until_ns = host.now_ns + (uint64_t)(strtod(word + 1, NULL) * 1000) * MS;

        while (host.now_ns < until_ns)
            tick();
    } else if (value) {
        *value++ = '\0';
        if (!take_value(word, value) && !take_host_value(word, value))
            fail_msg("what is %s=%s?", word, value);
    } else if (strncmp(word, "gpu", 3) == 0) {
        host.device = (size_t)(word[3] - '0');
    } else if (len == 2 && word[1] == ':') {
        host.model = (size_t)(word[0] - 'a');
    } else if (strcmp(word, "vanished") == 0) {
        host.listed[host.device] = false;
    } else if (!take_word(word)) {
        fail_msg("what is \"%s\"?", word);
    }
}

static void play(const char *script)
{
    char words[1024], *rest = words;

    assert_true(strlen(script) < sizeof(words));
    (void)snprintf(words, sizeof(words), "%s", script);
    for (char *word = strtok_r(words, " ", &rest); word;
         word = strtok_r(NULL, " ", &rest))
        take(word);
}

static int set_up(void **state)
{
    (void)state;
    reset_host();
    assert_int_equal(journal_new(&journal), 0);
    assert_int_equal(watch_new(journal, &watch), 0);
    return snapshot_pool_new(&pool);
}

static int tear_down(void **state)
{
    (void)state;
    watch_free(watch);
    journal_free(journal);
    snapshot_pool_free(pool);
    return 0;
}

struct script {
    const char *row;
    const char *script;
    const char *told;
};

static void play_all(const struct script *scripts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        (void)set_up(NULL);
        play(scripts[i].script);
        if (strcmp(told, scripts[i].told) != 0)
            fail_msg("[%s]\n told: %s\n not:  %s\n%s", scripts[i].row, told,
                     scripts[i].told, texts);
        (void)tear_down(NULL);
    }
}

/* ---- Engines ---- */

static const struct script lives[] = {
    {"nobody", "+30", ""},
    {"was there", "a: ready b: loading +10", "0 engine_found a, 0 engine_found b"},
    {"comes", "+1 a: loading +5 starting +5 ready +5", "1 engine_found a"},
    {"goes", "a: ready +1 gone +4.5 +0.5 +20", "0 engine_found a, 6 engine_lost a"},
    {"is away for a moment", "a: ready +1 gone +4.5 ready +20 gone +4.5 ready +9",
     "0 engine_found a"},
    {"is back after a while", "a: ready +1 gone +20 pid=200 ready +20",
     "0 engine_found a, 6 engine_lost a, 21 engine_found a"},
    {"is back soon", "a: ready +1 gone +3 pid=200 starting +20",
     "0 engine_found a, 4 engine_restarted a"},
    {"another process, younger", "a: since=5 ready +1 pid=200 since=6 +20",
     "0 engine_found a, 1 engine_restarted a"},
    {"the launcher of its process", "a: since=5 ready +1 pid=200 since=4 +20",
     "0 engine_found a"},
    {"another process of the same number", "a: since=5 ready +1 since=6 +20",
     "0 engine_found a, 1 engine_restarted a"},
    {"another process at once", "a: ready +1 pid=200 +20",
     "0 engine_found a, 1 engine_restarted a"},
    {"its process is not known for a while", "a: ready +1 pid=0 +9 pid=100 +9",
     "0 engine_found a"},
    {"another process after that", "a: ready +1 pid=0 +9 pid=200 +9",
     "0 engine_found a, 10 engine_restarted a"},
    {"its process is known at last", "a: pid=0 ready +9 pid=100 +9", "0 engine_found a"},
    {"restarted again and again", "a: ready +1 pid=1 +1 pid=2 +1 pid=3 +1 pid=4 +30",
     "0 engine_found a, 1 engine_restarted a, 11 engine_restarted a"},
    {"flaps: as often as the pause lets it",
     "a: ready +1 gone +5.5 ready +1 gone +5.5 ready +1 gone +5.5 ready +20",
     "0 engine_found a, 6 engine_lost a, 13 engine_found a, 19 engine_lost a, 23 "
     "engine_found a"},
    {"another name for the same process", "a: name=x ready +5 name=y +20",
     "0 engine_found x"},
    {"another name for who knows whom", "a: pid=0 name=x ready +5 name=y +20",
     "0 engine_found x, 5 engine_found y, 10 engine_lost x"},
    {"two of one name and port", "a: ready b: name=a port=8000 pid=200 ready +20",
     "0 engine_found a, 0 engine_found a"},
    {"counters fall, of a process that is known", "a: queries=50 ready +5 queries=5 +5",
     "0 engine_found a"},
    {"counters fall, of one that is not", "a: pid=0 queries=50 ready +5 queries=5 +5",
     "0 engine_found a, 5 engine_restarted a"},
    {"preemptions fall, too", "a: pid=0 preempted=50 ready +5 preempted=5 +5",
     "0 engine_found a, 5 engine_restarted a"},
    {"a data-parallel engine is missing on a page",
     "a: pid=0 queries=50 dp=2 ready +5 queries=5 dp=1 +1 queries=50 dp=2 +5",
     "0 engine_found a"},
    {"a page is missing",
     "a: pid=0 queries=50 ready +5 queries=-1 dp=0 +5 queries=50 dp=1 +5",
     "0 engine_found a"},
};

static void test_lives(void **state)
{
    (void)state;
    play_all(lives, ARRAY_LEN(lives));
}

static const struct script sleeps[] = {
    {"sleeps and wakes", "a: ready +5 sleeping +5 ready +5",
     "0 engine_found a, 5 engine_slept a, 10 engine_woke a"},
    {"is found asleep", "a: sleeping +5 ready +5", "0 engine_found a, 5 engine_woke a"},
    {"does not answer in its sleep", "a: ready +5 sleeping +5 unreachable +5 sleeping +5",
     "0 engine_found a, 5 engine_slept a"},
    {"sleeps badly: told once in ten seconds",
     "a: ready +5 sleeping +1 ready +1 sleeping +1 ready +1 sleeping +1 ready +20",
     "0 engine_found a, 5 engine_slept a, 6 engine_woke a"},
    {"dies in its sleep, and is awake again",
     "a: ready +5 sleeping +5 pid=200 starting +5 ready +5",
     "0 engine_found a, 5 engine_slept a, 10 engine_restarted a"},
};

static const struct script scrapes[] = {
    {"fails and is back", "a: ready +5 unreachable +15 ready +5",
     "0 engine_found a, 15 scrape_failing a, 20 scrape_back a"},
    {"fails for a moment, again and again",
     "a: ready +5 unreachable +9.5 ready +1 unreachable +9.5 ready +1",
     "0 engine_found a"},
    {"trembles when it is told",
     "a: ready +5 unreachable +10.5 ready +0.5 unreachable +0.5 ready +0.5 unreachable "
     "+9 "
     "ready +20",
     "0 engine_found a, 15 scrape_failing a, 15.5 scrape_back a"},
    {"stale is failing, too", "a: ready +5 stale +15 fresh +5",
     "0 engine_found a, 15 scrape_failing a, 20 scrape_back a"},
    {"no metrics any more", "a: ready +5 disabled stale +15",
     "0 engine_found a, 15 scrape_failing a"},
    {"one that never answered", "a: unreachable +60", "0 engine_found a"},
    {"one that starts", "a: loading stale +60 starting +60", "0 engine_found a"},
    {"one that sleeps", "a: ready +5 sleeping stale +60",
     "0 engine_found a, 5 engine_slept a"},
    {"restarted while it fails: that is all there is to say",
     "a: ready +5 unreachable +15 pid=200 +60 ready +5",
     "0 engine_found a, 15 scrape_failing a, 20 engine_restarted a"},
};

static void test_states(void **state)
{
    (void)state;
    play_all(sleeps, ARRAY_LEN(sleeps));
    play_all(scrapes, ARRAY_LEN(scrapes));
}

static const struct script starts[] = {
    {"two at a time on one GPU",
     "+1 a: loading on=1 +2 b: loading on=1 +30 a: ready b: ready +5",
     "1 engine_found a, 3 engine_found b, 8 start_collision b GPU-0"},
    {"and a third, on another of its GPUs",
     "+1 a: loading on=3 +2 b: loading on=1 +30 c: loading on=2 +30",
     "1 engine_found a, 3 engine_found b, 8 start_collision b GPU-0, 33 engine_found c, "
     "38 "
     "start_collision c GPU-1"},
    {"the port of one is open already",
     "+1 a: loading on=1 +2 starting b: loading on=1 +2 starting +9",
     "1 engine_found a, 3 engine_found b, 8 start_collision b GPU-0"},
    {"on two GPUs", "+1 a: loading on=1 b: loading on=2 +30",
     "1 engine_found a, 1 engine_found b"},
    {"no memory yet", "+1 a: loading on=1 b: loading on=0 +30 on=1 +9",
     "1 engine_found a, 1 engine_found b, 36 start_collision b GPU-0"},
    {"one after the other", "+1 a: loading on=1 +20 ready b: loading on=1 +30",
     "1 engine_found a, 21 engine_found b"},
    {"for less than five seconds", "+1 a: loading on=1 b: loading on=1 +4.5 a: ready +9",
     "1 engine_found a, 1 engine_found b"},
    {"two that were there, busy", "a: starting on=1 b: starting on=1 +30",
     "0 engine_found a, 0 engine_found b"},
    {"two that were there, loading", "a: loading on=1 b: loading on=1 +30",
     "0 engine_found a, 0 engine_found b, 5 start_collision b GPU-0"},
    {"restarted together",
     "a: ready on=1 b: ready on=1 +5 a: pid=1 starting b: pid=2 starting +30",
     "0 engine_found a, 0 engine_found b, 5 engine_restarted a, 5 engine_restarted b, 10 "
     "start_collision b GPU-0"},
};

static void test_starts(void **state)
{
    (void)state;
    play_all(starts, ARRAY_LEN(starts));
}

static const struct script figures[] = {
    {"preempts, and no more",
     "a: preempted=5 ready +5 preempted=8 +30 preempted=9 +59.5 +5",
     "0 engine_found a, 5 preempting a, 95 preempting_over a"},
    {"preempts again and again: one line",
     "a: preempted=5 ready +5 preempted=6 +59.5 preempted=7 +59.5 preempted=8 +20",
     "0 engine_found a, 5 preempting a"},
    {"had preempted before", "a: preempted=5 ready +90", "0 engine_found a"},
    {"it is not known for a while",
     "a: preempted=5 ready +5 preempted=? +90 preempted=5 +5", "0 engine_found a"},
    {"it is not known when it would be over",
     "a: preempted=5 ready +5 preempted=6 +5 preempted=? +90 preempted=6 +5",
     "0 engine_found a, 5 preempting a, 100 preempting_over a"},
    {"a data-parallel engine comes back",
     "a: preempted=9 dp=2 ready +5 preempted=5 dp=1 +5 preempted=9 dp=2 +90",
     "0 engine_found a"},
    {"the pages stop", "a: preempted=5 ready +5 preempted=6 +5 mute +90",
     "0 engine_found a, 5 preempting a"},
    {"restarted meanwhile",
     "a: preempted=5 ready +5 preempted=6 +5 preempted=0 pid=200 +90 preempted=1 +1",
     "0 engine_found a, 5 preempting a, 10 engine_restarted a, 100 preempting a"},

    {"KV cache high, and no more", "a: used=90 ready +70 used=79 +60.5 +60",
     "0 engine_found a, 60 kv_high a, 130 kv_high_over a"},
    {"high for less than a minute",
     "a: used=95 ready +60 used=89 +0.5 used=95 +60 used=50 +90", "0 engine_found a"},
    {"trembles at the upper threshold",
     "a: used=95 ready +61 used=89 +30 used=95 +90 used=89 +90 used=95 +90",
     "0 engine_found a, 60 kv_high a"},
    {"trembles at the lower one",
     "a: used=95 ready +61 used=79 +59.5 used=80 +0.5 used=79 +59.5 used=81 +9 used=79 "
     "+90",
     "0 engine_found a, 60 kv_high a, 249.5 kv_high_over a"},
    {"not known is neither", "a: used=95 ready +30 used=? +9 used=95 +30 used=? +90",
     "0 engine_found a, 60 kv_high a"},
    {"not known for long: the minute begins anew",
     "a: used=95 ready +50 used=? +30 used=95 +59.5 used=50 +9", "0 engine_found a"},
    {"an old page says nothing new", "a: used=95 ready +50 mute +90", "0 engine_found a"},

    {"more blocks", "a: pool=10 blocks=100 ready +5 pool=12 blocks=120 +20",
     "0 engine_found a, 5 kv_capacity_changed a"},
    {"other bytes", "a: pool=10 ready +5 pool=12 +20",
     "0 engine_found a, 5 kv_capacity_changed a"},
    {"other bytes, by no more than their errors",
     "a: pool=10 off=1 ready +5 pool=12 off=1 +20 pool=14.1 off=1 +9",
     "0 engine_found a, 25 kv_capacity_changed a"},
    {"bytes that are known at last", "a: blocks=100 ready +5 pool=12 +20",
     "0 engine_found a"},
    {"bytes from another source", "a: pool=10 blocks=100 ready +5 pool=12 source=log +20",
     "0 engine_found a"},
    {"blocks from one thousand to two, and bytes a little later",
     "a: pool=10 blocks=100 ready +5 pid=2 pool=? blocks=200 +2 pool=20 +9",
     "0 engine_found a, 5 engine_restarted a, 7 kv_capacity_changed a"},
    {"and bytes never", "a: pool=10 blocks=100 ready +5 pool=? blocks=200 +30",
     "0 engine_found a, 20 kv_capacity_changed a"},
    {"nothing while it sleeps",
     "a: pool=10 blocks=100 ready +5 pool=0 blocks=0 sleeping +5 pool=10 blocks=100 "
     "ready +5",
     "0 engine_found a, 5 engine_slept a, 10 engine_woke a"},
    {"a data-parallel engine is missing",
     "a: blocks=200 dp=2 ready +5 blocks=100 dp=1 +9 dp=2 "
     "blocks=200 +9",
     "0 engine_found a"},
    {"there and back before it may be told",
     "a: blocks=1 ready +5 blocks=2 +1 blocks=3 +1 blocks=2 +20",
     "0 engine_found a, 5 kv_capacity_changed a"},
    {"restarted smaller",
     "a: pool=10 blocks=100 ready +5 pid=200 starting dp=0 +9 dp=1 pool=5 "
     "blocks=50 ready +5",
     "0 engine_found a, 5 engine_restarted a, 14 kv_capacity_changed a"},
};

static void test_figures(void **state)
{
    (void)state;
    play_all(figures, ARRAY_LEN(figures));
}

static const struct script drops[] = {
    {"falls", "a: held=10 ready +5 held=2 +20", "0 engine_found a, 7 memory_dropped a"},
    {"falls in two ticks", "a: held=10 ready +5 held=8.5 +0.5 held=7 +20",
     "0 engine_found a, 7.5 memory_dropped a"},
    {"falls in three", "a: held=10 ready +5 held=9 +0.5 held=8.3 +0.5 held=7 +20",
     "0 engine_found a"},
    {"not by a quarter", "a: held=10 ready +5 held=7.5 +20", "0 engine_found a"},
    {"not by a GiB", "a: held=2 ready +5 held=1 +20", "0 engine_found a"},
    {"is put to sleep", "a: held=10 ready +5 held=2 +1.5 sleeping +20 held=10 ready +20",
     "0 engine_found a, 6.5 engine_slept a, 26.5 engine_woke a"},
    {"is put to sleep, which takes its time",
     "a: held=10 ready +5 mute held=2 +14.5 sleeping speaks +9",
     "0 engine_found a, 19.5 engine_slept a"},
    {"does not answer any more", "a: held=10 ready +5 held=2 unreachable +30",
     "0 engine_found a, 15 scrape_failing a, 20 memory_dropped a"},
    {"falls, and it is gone", "a: held=10 ready +5 held=2 unreachable +1 gone +9",
     "0 engine_found a, 6 memory_dropped a, 11 engine_lost a"},
    {"falls, and it is restarted", "a: held=10 ready +5 held=2 unreachable +1 pid=200 +9",
     "0 engine_found a, 6 memory_dropped a, 6 engine_restarted a"},
    {"is gone with its memory", "a: held=10 ready +5 gone +9",
     "0 engine_found a, 10 engine_lost a"},
    {"restarted: it is another's memory", "a: held=10 ready +5 held=0 pid=200 +20",
     "0 engine_found a, 5 engine_restarted a"},
    {"while it starts", "a: held=10 starting +5 held=2 +5 ready +20", "0 engine_found a"},
    {"was not known well for a moment", "a: held=10 ready +5 held=2 +1 held=10 +20",
     "0 engine_found a"},
    {"not known in between", "a: held=10 ready +5 held=? +0.5 held=2 +20",
     "0 engine_found a, 7.5 memory_dropped a"},
    {"not known for longer", "a: held=10 ready +5 held=? +1 held=2 +20",
     "0 engine_found a"},
    {"its GPU is lost", "a: held=10 ready +5 gpu0: unknown held=0 +1 +1 +20",
     "0 engine_found a, 7 gpu_lost GPU-0"},
    {"over an outage", "a: held=10 ready +5 outage +1 over held=2 +20",
     "0 engine_found a"},
    {"twice in ten seconds: once",
     "a: held=10 ready +5 held=2 +3 held=10 +1 held=2 +3 held=10 +20",
     "0 engine_found a, 7 memory_dropped a"},
};

static void test_drops(void **state)
{
    (void)state;
    play_all(drops, ARRAY_LEN(drops));
}

/* ---- The host ---- */

static const struct script hosts[] = {
    {"a GPU is lost, and back", "+5 gpu0: unknown +10 known +10",
     "7 gpu_lost GPU-0, 17 gpu_back GPU-0"},
    {"lost for a moment, again and again",
     "+5 gpu0: unknown +1.5 known +1 unknown +1.5 known +1", ""},
    {"it trembles",
     "+5 gpu0: unknown +2.5 known +1 unknown +1 known +2.5 unknown +2.5 known +9 "
     "unknown +9",
     "7 gpu_lost GPU-0, 11.5 gpu_back GPU-0, 25.5 gpu_lost GPU-0"},
    {"vanishes, and is back", "+5 gpu1: vanished +10 known +10",
     "7 gpu_lost GPU-1, 17 gpu_back GPU-1"},
    {"never told its memory", "gpu0: unknown +30", ""},
    {"never told it at first", "gpu0: unknown +30 known +30 unknown +9",
     "62 gpu_lost GPU-0"},
    {"is partitioned, and whole again",
     "+5 gpu1: vanished gpu2: mig=1 known +20 vanished gpu1: known +20", ""},
    {"another one comes", "+5 gpu2: known +20", ""},
    {"outage of all, and back", "+5 outage +10 over +10", "7 gpu_lost, 17 gpu_back"},
    {"outage for a moment", "+5 outage +1.5 over +10 outage +1.5 over +9", ""},
    {"outage from the start: nothing is lost", "outage +30 over +10", ""},
    {"engines after an outage", "a: ready +5 outage gone +60 over +4.5 +9",
     "0 engine_found a, 7 gpu_lost, 67 gpu_back, 70 engine_lost a"},

    {"an orphan, and gone", "+5 gpu1: orphan=10 +20 orphan=- +20",
     "10 orphan_appeared GPU-1, 30 orphan_gone GPU-1"},
    {"of unknown size", "+5 orphan=? +20 orphan=- +20",
     "10 orphan_appeared GPU-0, 30 orphan_gone GPU-0"},
    {"workers that end a little after their server", "+5 orphan=10 +4.5 orphan=- +20",
     ""},
    {"for a moment none", "+5 orphan=10 +20 orphan=- +4.5 orphan=10 +20",
     "10 orphan_appeared GPU-0"},
    {"its GPU is lost meanwhile",
     "+5 orphan=10 +20 unknown orphan=- +60 known orphan=10 +20",
     "10 orphan_appeared GPU-0, 27 gpu_lost GPU-0, 87 gpu_back GPU-0"},

    {"another driver", "+5 driver=560.2 +20", "5 driver_changed"},
    {"another driver after an outage", "+5 outage driver=560.2 +20 over +20",
     "7 gpu_lost, 25 driver_changed, 27 gpu_back"},
    {"its version is not known for a while", "+5 driver=? +5 driver=550.1 +5", ""},
    {"there and back", "+5 driver=560.2 +1 driver=550.1 +1 driver=560.2 +20",
     "5 driver_changed"},
};

static void test_host(void **state)
{
    (void)state;
    play_all(hosts, ARRAY_LEN(hosts));
}

/* ---- Texts ---- */

static const struct script words[] = {
    {"found", "a: ready +1 b: loading +1",
     "a on port 8000 was there: ready\nb on port 8001 was found: loading\n"},
    {"lost and back", "a: held=10.25 ready +1 gone +37 ready +1",
     "a on port 8000 was there: ready\na on port 8000 is gone: it held 10.2 GiB\n"
     "a on port 8000 is back after 37 s: ready\n"},
    {"restarted", "a: pid=12 ready +1 pid=34 +1",
     "a on port 8000 was there: ready\na on port 8000 was restarted: process 12 -> 34\n"},
    {"counters", "a: pid=0 queries=9 ready +1 queries=0 +1",
     "a on port 8000 was there: ready\n"
     "a on port 8000 was restarted: its counters began anew\n"},
    {"preempting", "a: preempted=2 ready +5 preempted=5 +2 preempted=9 +70",
     "a on port 8000 was there: ready\na on port 8000 preempts requests: 3 in 0.5 s\n"
     "a on port 8000 preempts no more: it was 7 in 2.5 s\n"},
    {"preempting, and its counter falls",
     "a: preempted=50 ready +5 preempted=53 +2 preempted=2 +2 preempted=4 +70",
     "a on port 8000 was there: ready\na on port 8000 preempts requests: 3 in 0.5 s\n"
     "a on port 8000 preempts no more: it was 5 in 4.5 s\n"},
    {"KV high", "a: used=93 kv=9.3 pool=10 ready +61",
     "a on port 8000 was there: ready\n"
     "a on port 8000: KV cache above 90 % for 60 s: 93 %, 9.3 GiB of 10.0 GiB\n"},
    {"KV high, in bytes that are not known", "a: used=93 ready +61",
     "a on port 8000 was there: ready\na on port 8000: KV cache above 90 % for 60 s: 93 "
     "%\n"},
    {"capacity", "a: pool=10 blocks=100 ready +1 pool=12 blocks=120 +1",
     "a on port 8000 was there: ready\n"
     "a on port 8000: KV capacity 10.0 GiB (100 blocks) -> 12.0 GiB (120 blocks)\n"},
    {"capacity in blocks", "a: blocks=100 ready +1 blocks=120 +1",
     "a on port 8000 was there: ready\na on port 8000: KV capacity 100 blocks -> 120 "
     "blocks\n"},
    {"capacity in bytes", "a: pool=10 ready +1 pool=12 +1",
     "a on port 8000 was there: ready\na on port 8000: KV capacity 10.0 GiB -> 12.0 "
     "GiB\n"},
    {"dropped", "a: held=10 ready +1 held=0.02 +3",
     "a on port 8000 was there: ready\n"
     "a on port 8000: its GPU memory fell from 10.0 GiB to less than 0.1 GiB\n"},
    {"failing", "a: ready +1 unreachable why=refused +12 ready why= +1",
     "a on port 8000 was there: ready\na on port 8000 gives no figures for 10 s: "
     "refused\n"
     "a on port 8000 gives figures again after 2.0 s\n"},
    {"collision", "a: loading on=1 b: loading on=1 +6",
     "a on port 8000 was there: loading\nb on port 8001 was there: loading\n"
     "b on port 8001 starts on GPU 0 while a does\n"},
    {"orphan", "+1 orphan=10 +6 orphan=- +6",
     "1 worker of vLLM whose server is gone holds 10.0 GiB on GPU 0 (H100)\n"
     "no orphan holds memory on GPU 0 (H100) any more: it was 10.0 GiB\n"},
    {"orphan of unknown size", "+1 orphan=? +6",
     "1 worker of vLLM whose server is gone holds memory on GPU 0 (H100)\n"},
    {"GPU", "+1 gpu1: vanished +10 known +3",
     "GPU 1 (H100) is gone: the driver does not list it any more\n"
     "GPU 1 (H100) is back after 10 s\n"},
    {"outage", "+1 outage +10 over +3",
     "no GPU's memory is known any more: the driver is gone\n"
     "GPU figures are back after 10 s\n"},
    {"driver", "+1 driver=560.2 +1", "nvml driver changed: 550.1 -> 560.2\n"},
};

static void test_texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        (void)set_up(NULL);
        play(words[i].script);
        if (strcmp(texts, words[i].told) != 0)
            fail_msg("[%s]\n%s not:\n%s", words[i].row, texts, words[i].told);
        (void)tear_down(NULL);
    }
}

/* A name as long as it can be, of signs of three bytes, is cut between two of them. */
static void test_long_names(void **state)
{
    struct event event;
    char *name = host.models[0].served_name;

    (void)state;
    for (size_t i = 0; i + 3 < sizeof(host.models[0].served_name); i += 3)
        memcpy(name + i, "\xe2\x82\xac", 4);
    play("a: loading on=1 b: loading on=1 +6");
    memcpy(host.models[1].served_name, name, sizeof(host.models[1].served_name));
    play("why=");
    memset(host.models[0].why, 'w', sizeof(host.models[0].why) - 1);
    play("a: ready +1 unreachable +20");
    for (uint64_t id = 0; journal_next(journal, id, &event); id = event.id) {
        size_t len = strlen(event.text);

        assert_in_range(len, 20, EVENT_TEXT_SIZE - 1);
        for (size_t i = 0; i < len; i++)
            if (event.text[i] == '\xe2')
                assert_memory_equal(event.text + i, "\xe2\x82\xac", 3);
    }
    if (!strstr(texts, "... on port 8000 gives no figures for 10 s: www"))
        fail_msg("%s", texts);
}

/* ---- Alarms ---- */

static const struct {
    const char *before, *then;
    enum event_kind alarm;
} alarms[] = {
    {"a: ready", "+0.5", EVENT_KINDS},
    {"a: ready +1 gone +5", "+0.5", EVENT_ENGINE_LOST},
    {"a: ready +1 gone +5 +0.5", "+0.5", EVENT_KINDS},
    {"a: ready +1 pid=2", "+0.5", EVENT_ENGINE_RESTARTED},
    {"a: ready held=10 +1 held=2 +2", "+0.5", EVENT_MEMORY_DROPPED},
    {"+1 gpu0: unknown +2", "+0.5", EVENT_GPU_LOST},
    {"+1 outage +2", "+0.5", EVENT_GPU_LOST},
    {"+1 outage +2.5", "+0.5", EVENT_KINDS},
    {"a: ready +1 unreachable +10", "+0.5", EVENT_KINDS},
    {"a: ready +1 pid=2 gpu0: unknown +2 pid=3", "+0.5", EVENT_GPU_LOST},
};

static void test_alarms(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(alarms); i++) {
        (void)set_up(NULL);
        assert_int_equal(watch_alarm(watch), EVENT_KINDS);
        play(alarms[i].before);
        play(alarms[i].then);
        if (watch_alarm(watch) != alarms[i].alarm)
            fail_msg("[%s] alarm %d: %s", alarms[i].before, (int)watch_alarm(watch),
                     told);
        (void)tear_down(NULL);
    }
}

/* ---- What goes into a snapshot ---- */

static void test_newest_in_snapshot(void **state)
{
    struct snapshot *snapshot;

    (void)state;
    watch_begin(watch, "1.2.3", 77);
    play("a: ready b: ready +0.5");
    snapshot = make_snapshot();
    watch_see(watch, snapshot);
    assert_int_equal(snapshot->n_events, 3);
    assert_int_equal(snapshot->events[0].kind, EVENT_DAEMON_STARTED);
    assert_int_equal(snapshot->events[0].unix_ms, 77);
    assert_string_equal(snapshot->events[0].text, "vramscoped 1.2.3 was started");
    assert_string_equal(snapshot->events[1].served_name, "a");
    assert_int_equal(snapshot->events[2].id, 3);
    assert_int_equal(snapshot->events[2].port, 8001);
    snapshot_unref(snapshot);
    for (int i = 0; i < 20; i++) {
        play("a: gone +10 a: ready +10");
    }
    snapshot = make_snapshot();
    watch_see(watch, snapshot);
    assert_int_equal(snapshot->n_events, SNAPSHOT_EVENTS_MAX);
    assert_int_equal(snapshot->events[0].id, 43 - SNAPSHOT_EVENTS_MAX + 1);
    assert_int_equal(snapshot->events[SNAPSHOT_EVENTS_MAX - 1].id, 43);
    snapshot_unref(snapshot);
}

/* ---- Floods ---- */

enum { FLOOD_DEVICES = 20 };

/* As many engines as there can be, each another one at each look. */
static struct snapshot *make_flood(unsigned look, bool gpu)
{
    struct snapshot *snapshot = snapshot_new(pool);

    assert_non_null(snapshot);
    snapshot->taken_ns = host.now_ns;
    snapshot->unix_ms = host.now_ns / MS;
    snapshot->n_devices = FLOOD_DEVICES;
    for (unsigned i = 0; i < FLOOD_DEVICES; i++) {
        snapshot->devices[i] = host.devices[0];
        (void)snprintf(snapshot->devices[i].uuid, sizeof(snapshot->devices[i].uuid),
                       "GPU-%u", i);
        snapshot->devices[i].mem_used_bytes = gpu ? 0 : UNKNOWN;
    }
    snapshot->n_models = SNAPSHOT_MODELS_MAX;
    for (unsigned i = 0; i < SNAPSHOT_MODELS_MAX; i++) {
        struct snapshot_model *model = &snapshot->models[i];

        reset_model(model, i);
        model->pid = 1 + look * SNAPSHOT_MODELS_MAX + i;
        (void)snprintf(model->served_name, sizeof(model->served_name), "m%u-%u", i, look);
    }
    return snapshot;
}

static void test_flood(void **state)
{
    uint64_t ids[200], n = 0;
    struct event event = {0};
    unsigned lost = 0, last_lost = 0;

    (void)state;
    for (unsigned look = 0; look < 200; look++) {
        struct snapshot *snapshot = make_flood(look, look < 150);
        uint64_t before = seen_id;

        watch_see(watch, snapshot);
        snapshot_unref(snapshot);
        while (journal_next(journal, seen_id, &event)) {
            seen_id = event.id;
            lost += event.kind == EVENT_GPU_LOST;
            last_lost = event.kind == EVENT_GPU_LOST ? look : last_lost;
        }
        assert_true(look > 0 || seen_id == SNAPSHOT_MODELS_MAX);
        ids[n++] = seen_id - before;
        host.now_ns += TICK_MS * MS;
    }
    assert_int_equal(lost, FLOOD_DEVICES); // there was room for all, at once
    assert_int_equal(last_lost, 150 + WATCH_GPU_MS / TICK_MS);
    for (unsigned look = 60; look < 150; look++)
        assert_in_range(ids[look] + ids[look - 1], 0, 2); // one a second
    assert_true(seen_id >= 128 - 32 + 60);
}

/* ---- Anything ---- */

static uint32_t random_state = 1;

static uint32_t any(uint32_t n)
{
    random_state = random_state * 1664525 + 1013904223;
    return (random_state >> 8) % n;
}

static void change_model(struct snapshot_model *model)
{
    switch (any(12)) {
    case 0:
        model->state = (enum engine_state)any(ENGINE_STATES);
        break;
    case 1:
        model->pid = any(4);
        break;
    case 2:
        model->served_name[0] = (char)('a' + (char)any(3));
        break;
    case 3:
        model->page.preemptions = any(3) ? any(5) : UNKNOWN;
        break;
    case 4:
        model->page.kv_usage_ratio = any(3) ? (double)any(11) / 10 : (double)NAN;
        break;
    case 5:
        model->page.kv_blocks = any(3) ? any(3) : UNKNOWN;
        break;
    case 6:
        model->allocated_bytes = figure_of(any(5) * 10 * GIB, MEASURED, NULL);
        break;
    case 7:
        model->devices = any(4);
        break;
    case 8:
        model->stale = any(2);
        break;
    case 9:
        model->page.engines = any(3);
        break;
    case 10:
        model->kv_pool_bytes =
            any(2) ? figure_of(any(3) * GIB, MEASURED, NULL) : figure_unknown("test");
        break;
    default:
        model->port = (uint16_t)(8000 + any(2));
    }
}

static void change_host(void)
{
    size_t device = any(DEVICES);

    switch (any(6)) {
    case 0:
        host.devices[device].mem_used_bytes = any(2) ? UNKNOWN : GIB;
        break;
    case 1:
        host.listed[device] = any(2);
        break;
    case 2:
        host.orphan[device] = (double)any(3) - 1;
        break;
    case 3:
        host.outage = any(4) == 0;
        break;
    case 4:
        (void)snprintf(host.driver, sizeof(host.driver), "%u", any(2));
        break;
    default:
        host.there[any(ENGINES)] = any(2);
    }
}

/* Of a device none of a kind twice in the pause. */
static void check_pauses(uint64_t after_id, int64_t last_ms[EVENT_KINDS][DEVICES])
{
    struct event event;

    for (uint64_t id = after_id; journal_next(journal, id, &event); id = event.id) {
        int64_t *last;

        if (!event.device[0] || event.served_name[0])
            continue;
        last = &last_ms[event.kind][event.device[4] - '0'];
        if (event.unix_ms - *last < WATCH_PAUSE_MS)
            fail_msg("%s: %s", told, event.text);
        *last = event.unix_ms;
    }
}

/* Never more than so many in a minute. */
static void test_anything(void **state)
{
    enum { LOOKS = 20000, MINUTE = 60 * 1000 / TICK_MS };
    static uint64_t ids[LOOKS];
    static int64_t last_ms[EVENT_KINDS][DEVICES];
    uint64_t most = 0;

    (void)state;
    for (size_t look = 0; look < LOOKS; look++) {
        uint32_t calm = 2 + any(8) * any(20);

        while (any(calm) == 0)
            change_model(&host.models[any(ENGINES)]);
        if (any(calm) == 0)
            change_host();
        told[0] = texts[0] = '\0';
        ids[look] = seen_id;
        tick(); // checks that ids rise by one
        check_pauses(ids[look], last_ms);
        if (look >= MINUTE)
            most = MAX(most, ids[look] - ids[look - MINUTE]);
    }
    if (most > WATCH_BURST + 60 * WATCH_PER_SECOND)
        fail_msg("%llu events in a minute", (unsigned long long)most);
    assert_in_range(seen_id, 200, LOOKS / 2); // of it something was seen
    printf("%llu events, %llu in a minute at most\n", (unsigned long long)seen_id,
           (unsigned long long)most);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lives),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_starts),
        cmocka_unit_test(test_figures),
        cmocka_unit_test(test_drops),
        cmocka_unit_test(test_host),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_alarms),
        cmocka_unit_test_setup_teardown(test_long_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_newest_in_snapshot, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_flood, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_anything, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
