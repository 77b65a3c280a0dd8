// SPDX-License-Identifier: Apache-2.0
/* Gateways of gateways: the same sums as of one over all nodes, and loops of uplinks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fleet/fleet_parts.h"
#include "fleet_stage.h"

#include <time.h>

enum { REGIONS = 6, CONTINENTS = 2, HOSTS = 40, MODELS = 8, ROUNDS = 10 };

static uint64_t seed = 88172645463325252ULL;
static char complaint[256];

static uint64_t below(uint64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % n;
}

/* A gateway, its last sum, and what it publishes. */
struct tier {
    struct fleet *fleet;
    struct snapshot *sum;
    int r; // of the last sum
};

static struct tier *opened[16]; // to be closed, whatever becomes of a test
static size_t n_opened;

static void open_tier(struct tier *tier, const char *prefix, const char *node)
{
    assert_true(n_opened < ARRAY_LEN(opened));
    *tier = (struct tier){0};
    opened[n_opened++] = tier;
    assert_int_equal(fleet_new(&tier->fleet), 0);
    if (prefix)
        fleet_publish_as(tier->fleet, prefix, node);
}

static void close_tiers(void)
{
    for (; n_opened > 0; n_opened--) {
        snapshot_unref(opened[n_opened - 1]->sum);
        fleet_free(opened[n_opened - 1]->fleet);
    }
}

static int clear(void **unused)
{
    close_tiers();
    return stage_clear(unused);
}

static const struct snapshot *sum_tier(struct tier *tier)
{
    snapshot_unref(tier->sum);
    tier->sum = snapshot_new(stage.pool);
    assert_non_null(tier->sum);
    tier->r = fleet_sum(tier->fleet, stage.now_ns, stage_unix(), tier->sum);
    return tier->sum;
}

static void hear(struct tier *tier, const char *name)
{
    (void)fleet_take(tier->fleet, span_of(name), buf_span(&stage.out), stage.now_ns,
                     stage_unix());
}

/* Its message, as a gateway's publisher makes it, of its last sum. */
static void write_tier(const struct tier *tier, struct stage_node *node, size_t max)
{
    struct compact_head head;
    const struct snapshot_fleet *fleet = tier->sum->fleet;

    node->gateway = true;
    node->nodes = fleet->n_counted;
    node->outage = tier->r < 0 ? "none has figures" : NULL;
    head = stage_head(node);
    head.gpus = fleet->n_devices;
    head.via = fleet->via;
    tier->sum->seq = ++node->seq;
    assert_int_equal(compact_write(&stage.writer, &stage.out, &head,
                                   tier->r < 0 ? NULL : tier->sum, &tier->sum->self, max),
                     0);
}

static struct figure any_figure(uint64_t most)
{
    struct figure figure = figure_of(below(most), MEASURED + (enum provenance)below(4),
                                     below(3) ? NULL : "so it says");

    if (figure.how == ESTIMATED)
        figure.error = below(1000);
    return below(4) ? figure : figure_unknown("hidden");
}

static uint64_t any_count(uint64_t most)
{
    return below(5) ? below(most) : UNKNOWN;
}

static struct hit_counts any_hits(void)
{
    double queries = (double)below(1000);

    if (below(4) == 0)
        return (struct hit_counts){(double)NAN, (double)NAN};
    return (struct hit_counts){(double)below((uint64_t)queries + 1), queries};
}

static void any_models(struct snapshot *said)
{
    said->kv_used_bytes = said->kv_unknown = 0;
    for (uint32_t i = 0; i < said->n_models; i++) {
        struct snapshot_model *model = &said->models[i];

        model->allocated_bytes = any_figure(80 * GIB);
        model->kv_pool_bytes = any_figure(40 * GIB);
        model->kv_used_bytes = below(3) ? any_figure(30 * GIB) : figure_of(0, DERIVED, 0);
        model->page.requests_running = any_count(100);
        model->page.requests_waiting = any_count(100);
        model->prefix_minute = any_hits();
        model->prefix_five_minutes = any_hits();
        model->page.prefix = any_hits();
        if (model->kv_used_bytes.how == FROM_NOWHERE)
            said->kv_unknown++;
        else
            said->kv_used_bytes += model->kv_used_bytes.value;
    }
}

/* A host; few of the models are those of others, or all are. */
static void any_host(struct stage_node *host, bool alike)
{
    static char model[32];
    struct snapshot *said = &stage.said;

    (void)snprintf(model, sizeof(model), "m%u", (unsigned)below(alike ? 2 : 40));
    host->model = model;
    host->n_models = (uint32_t)below(MODELS + 1);
    host->n_devices = 1 + (uint32_t)below(8);
    stage_fill(host, said);
    said->seq = ++host->seq;
    said->total_bytes = figure_of((80 + below(900)) * GIB, MEASURED, NULL);
    said->allocated_bytes = figure_of(below(80 * GIB), MEASURED, NULL);
    said->models_bytes = any_count(10 * GIB);
    said->other_bytes = any_count(GIB);
    said->orphan_bytes = any_count(GIB);
    any_models(said);
}

/* There may be no room to tell all of its models. */
static void write_host(const struct stage_node *host, size_t max)
{
    struct compact_head head = stage_head(host);

    assert_int_equal(compact_write(&stage.writer, &stage.out, &head, &stage.said,
                                   &stage.said.self, max),
                     0);
}

static void assert_same_figure(struct figure a, struct figure b)
{
    assert_int_equal(a.how, b.how);
    assert_int_equal(a.value, b.value);
    assert_int_equal(a.error, b.error);
    assert_int_equal(!a.why, !b.why);
}

static void assert_same_hits(struct hit_counts a, struct hit_counts b)
{
    assert_true(a.hits == b.hits && a.queries == b.queries);
}

static void assert_same_totals(const struct snapshot *a, const struct snapshot *b)
{
    const struct snapshot_fleet *one = a->fleet, *other = b->fleet;

    assert_same_figure(a->total_bytes, b->total_bytes);
    assert_same_figure(a->allocated_bytes, b->allocated_bytes);
    assert_int_equal(a->models_bytes, b->models_bytes);
    assert_int_equal(a->other_bytes, b->other_bytes);
    assert_int_equal(a->orphan_bytes, b->orphan_bytes);
    assert_int_equal(a->unattributed_bytes, b->unattributed_bytes);
    assert_int_equal(a->kv_used_bytes, b->kv_used_bytes);
    assert_int_equal(a->kv_unknown, b->kv_unknown);
    assert_true(a->hit_percent == b->hit_percent);
    assert_int_equal(a->hit_percent_in_window, b->hit_percent_in_window);
    assert_int_equal(one->n_devices, other->n_devices);
    assert_same_figure(one->kv_pool_bytes, other->kv_pool_bytes);
    assert_int_equal(one->kv_pool_unknown, other->kv_pool_unknown);
    assert_int_equal(one->requests_running, other->requests_running);
    assert_int_equal(one->requests_waiting, other->requests_waiting);
    assert_same_hits(one->prefix_minute, other->prefix_minute);
    assert_same_hits(one->prefix_five_minutes, other->prefix_five_minutes);
    assert_same_hits(one->prefix_lifetime, other->prefix_lifetime);
}

/* Hosts, six regions with more rows than they tell, two continents, and the world. */
static void test_same_as_flat(void **unused)
{
    static struct tier whole, flat, world, regions[REGIONS], continents[CONTINENTS];
    char name[32];

    (void)unused;
    for (int round = 0; round < ROUNDS; round++) {
        close_tiers();
        open_tier(&whole, NULL, NULL);
        open_tier(&flat, NULL, NULL);
        open_tier(&world, NULL, NULL);
        for (int i = 0; i < CONTINENTS; i++)
            open_tier(&continents[i], "world", i ? "b" : "a");
        for (int i = 0; i < REGIONS; i++) {
            struct stage_node node;

            (void)snprintf(name, sizeof(name), "region-%d", i);
            node = stage_node(name);
            open_tier(&regions[i], "continent", name);
            for (int j = 0; j < HOSTS; j++) {
                struct stage_node host;

                (void)snprintf(name, sizeof(name), "host-%d-%d", i, j);
                host = stage_node(name);
                any_host(&host, round % 2);
                write_host(&host, COMPACT_MAX);
                hear(&whole, name);
                write_host(&host, below(3) ? COMPACT_MAX : 1400 + below(1000));
                hear(&flat, name);
                hear(&regions[i], name);
            }
            (void)sum_tier(&regions[i]);
            assert_true(round % 2 ||
                        regions[i].sum->fleet->n_models > SNAPSHOT_MODELS_MAX);
            (void)snprintf(name, sizeof(name), "region-%d", i);
            write_tier(&regions[i], &node, below(2) ? COMPACT_MAX : 4000);
            hear(&continents[i % CONTINENTS], name);
        }
        for (int i = 0; i < CONTINENTS; i++) {
            struct stage_node node = stage_node(i ? "b" : "a");

            (void)sum_tier(&continents[i]);
            write_tier(&continents[i], &node, below(2) ? COMPACT_MAX : 4000);
            hear(&world, node.name);
        }
        assert_same_totals(sum_tier(&flat), sum_tier(&whole));
        assert_same_totals(sum_tier(&world), flat.sum);
        assert_int_equal(world.sum->fleet->n_counted, CONTINENTS);
        assert_true(round % 2 || world.sum->fleet->models_left_out > 0);
    }
}

/* Of a region and more memory than any host can have; a host is not believed that much. */
static void test_large_region(void **unused)
{
    static const struct {
        bool gateway;
        uint64_t bytes, total;
    } rows[] = {
        {true, UINT64_C(1) << 59, UINT64_C(1) << 59},
        {true, UINT64_C(1) << 61, UNKNOWN},
        {false, UINT64_C(1) << 59, UNKNOWN},
        {false, UINT64_C(1) << 53, UINT64_C(1) << 53},
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct stage_node eu = stage_node("eu");

        assert_int_equal(stage_clear(NULL) | stage_set(NULL), 0);
        eu.gateway = rows[i].gateway;
        stage_fill(&eu, &stage.said);
        stage.said.total_bytes.value = rows[i].bytes;
        stage_write(&eu);
        (void)stage_take("eu");
        assert_int_equal(stage_sum(), rows[i].total == UNKNOWN ? -ENODATA : 0);
        assert_int_equal(stage.sum->total_bytes.value, rows[i].total);
    }
}

/* Two that publish to each other, each with a host of its own. */
struct pair {
    struct tier one, other;
    struct stage_node a, b, host_of_one, host_of_other;
};

static void say_host(struct tier *tier, struct stage_node *host)
{
    host->seq++;
    stage_fill(host, &stage.said);
    stage_write(host);
    hear(tier, host->name);
}

/* As the ticks of both come to lie: after each other, or at once. */
static void tick(struct pair *pair, bool at_once)
{
    if (pair->host_of_one.name)
        say_host(&pair->one, &pair->host_of_one);
    if (pair->host_of_other.name)
        say_host(&pair->other, &pair->host_of_other);
    (void)sum_tier(&pair->one);
    if (at_once)
        (void)sum_tier(&pair->other);
    write_tier(&pair->one, &pair->a, COMPACT_MAX);
    hear(&pair->other, "a");
    if (!at_once)
        (void)sum_tier(&pair->other);
    write_tier(&pair->other, &pair->b, COMPACT_MAX);
    hear(&pair->one, "b");
    stage_wait(500);
}

static void open_pair(struct pair *pair, unsigned hosts)
{
    *pair = (struct pair){.a = stage_node("a"), .b = stage_node("b")};
    open_tier(&pair->one, "up", "a");
    open_tier(&pair->other, "down", "b");
    if (hosts & 1)
        pair->host_of_one = stage_node("gpu1");
    if (hosts & 2)
        pair->host_of_other = stage_node("gpu2");
}

static const struct fleet_node *find_in(const struct tier *tier, const char *name)
{
    const struct snapshot_fleet *fleet = tier->sum->fleet;

    for (uint32_t i = 0; i < fleet->n_nodes; i++)
        if (strcmp(fleet->nodes[i].name, name) == 0)
            return &fleet->nodes[i];
    fail_msg("there is no %s", name);
    return NULL;
}

static void check_loop(const struct tier *tier, const char *name, bool has_host)
{
    assert_int_equal(tier->r, has_host ? 0 : -ENODATA);
    assert_int_equal(tier->sum->fleet->n_counted, has_host);
    assert_false(find_in(tier, name)->counted);
    if (has_host) {
        assert_int_equal(tier->sum->total_bytes.value, 160 * GIB);
        assert_int_equal(tier->sum->fleet->requests_running, 6);
    }
    if (find_in(tier, name)->state != NODE_LIVE)
        return;
    assert_non_null(strstr(find_in(tier, name)->reason, "a loop of uplinks"));
    assert_int_equal(tier->sum->fleet->n_looped, 1);
}

static void test_loop(void **unused)
{
    (void)unused;
    for (unsigned hosts = 0; hosts < 4; hosts++) {
        for (int at_once = 0; at_once < 2; at_once++) {
            static struct pair pair;

            print_message("# hosts %u, at once %d\n", hosts, at_once);
            close_tiers();
            open_pair(&pair, hosts);
            for (int i = 0; i < 20; i++) {
                tick(&pair, at_once);
                if (i < 4)
                    continue;
                check_loop(&pair.one, "b", hosts & 1);
                check_loop(&pair.other, "a", hosts & 2);
            }
            if (hosts & 1 && hosts & 2) {
                assert_true(
                    fleet_complaint(pair.one.fleet, complaint, sizeof(complaint)));
                assert_string_equal(complaint, "gateway b is not counted: it sums up "
                                               "this gateway: a loop of uplinks");
                assert_false(
                    fleet_complaint(pair.one.fleet, complaint, sizeof(complaint)));
            }
        }
    }
}

/* The uplink of one is taken away: it is silent, and then counts the other. */
static void test_loop_ends(void **unused)
{
    static struct pair pair;

    (void)unused;
    open_pair(&pair, 3);
    for (int i = 0; i < 8; i++)
        tick(&pair, false);
    check_loop(&pair.other, "a", true);
    for (int i = 0; i < 24; i++) {
        say_host(&pair.one, &pair.host_of_one);
        say_host(&pair.other, &pair.host_of_other);
        (void)sum_tier(&pair.one);
        write_tier(&pair.one, &pair.a, COMPACT_MAX);
        hear(&pair.other, "a");
        (void)sum_tier(&pair.other);
        stage_wait(500);
    }
    assert_int_equal(pair.one.sum->fleet->by_state[NODE_LOST], 1);
    assert_int_equal(pair.one.sum->total_bytes.value, 160 * GIB);
    assert_true(find_in(&pair.other, "a")->counted);
    assert_string_equal(find_in(&pair.other, "a")->reason, "");
    assert_int_equal(pair.other.sum->total_bytes.value, 320 * GIB);
}

/* A second gateway of the same nodes finds itself in what is made of the first one's sum. */
static void test_loop_by_sibling(void **unused)
{
    static struct pair pair;
    static struct tier sibling;

    (void)unused;
    open_pair(&pair, 3);
    open_tier(&sibling, "up", "a");
    tick(&pair, false);
    for (int i = 0; i < 4; i++) {
        tick(&pair, false);
        hear(&sibling, "b");
        say_host(&sibling, &pair.host_of_one);
        (void)sum_tier(&sibling);
        check_loop(&sibling, "b", true);
    }
}

/* Three in a circle, and what somebody else sums up of one of them. */
static void test_loop_of_three(void **unused)
{
    static const char *const names[] = {"a", "b", "c"};
    static struct tier tiers[3], above;
    static struct stage_node nodes[3], hosts[3];

    (void)unused;
    open_tier(&above, "elsewhere", "top");
    for (int i = 0; i < 3; i++) {
        open_tier(&tiers[i], "up", names[i]);
        nodes[i] = stage_node(names[i]);
        hosts[i] = stage_node("gpu1");
    }
    for (int round = 0; round < 12; round++) {
        for (int i = 0; i < 3; i++) {
            say_host(&tiers[i], &hosts[i]);
            (void)sum_tier(&tiers[i]);
            write_tier(&tiers[i], &nodes[i], COMPACT_MAX);
            hear(&tiers[(i + 1) % 3], names[i]);
            hear(&above, names[i]);
        }
        stage_wait(500);
    }
    for (int i = 0; i < 3; i++)
        check_loop(&tiers[i], names[(i + 2) % 3], true);
    assert_int_equal(sum_tier(&above)->total_bytes.value, 3 * 160 * GIB);
    assert_int_equal(above.sum->fleet->via.n, 4);
}

static void say_via(struct tier *tier, const char *name, uint64_t first, uint32_t n)
{
    struct stage_node node = stage_node(name);
    struct compact_head head;

    node.gateway = true;
    node.seq = stage.now_ns;
    stage_fill(&node, &stage.said);
    head = stage_head(&node);
    head.via.n = n;
    for (uint32_t i = 0; i < n; i++)
        head.via.ids[i] = first + i;
    assert_int_equal(compact_write(&stage.writer, &stage.out, &head, &stage.said,
                                   &stage.said.self, COMPACT_MAX),
                     0);
    hear(tier, name);
}

/* Who names more than there may be is left out, and nobody else. */
static void test_too_many(void **unused)
{
    static struct tier tier;
    const char *reason;
    char name[16];

    (void)unused;
    open_tier(&tier, "up", "a");
    say_via(&tier, "aaa", 1000, FLEET_VIA_MAX - 1); // there is room, but for "bbb"
    say_via(&tier, "bbb", 100, 1);
    say_via(&tier, "ccc", 200, 255);
    say_via(&tier, "ddd", 0, 0); // of a version that does not tell
    (void)sum_tier(&tier);
    assert_int_equal(tier.sum->fleet->n_counted, 2);
    assert_int_equal(tier.sum->fleet->n_looped, 2);
    reason = find_in(&tier, "aaa")->reason;
    assert_non_null(strstr(reason, "more than 256 gateways"));
    assert_true(strlen(reason) < FLEET_REASON_SIZE - 1);
    assert_non_null(strstr(find_in(&tier, "ccc")->reason, "more than 256 gateways"));
    assert_int_equal(tier.sum->fleet->via.n, 2);

    stage_wait(500);
    say_via(&tier, "aaa", 1000, 10);
    say_via(&tier, "ccc", 1000, 10); // the same ones take no room
    for (uint64_t i = 0; i < 200; i++) {
        (void)snprintf(name, sizeof(name), "e%u", (unsigned)i);
        say_via(&tier, name, 5000 - i, 1);
    }
    (void)sum_tier(&tier);
    assert_int_equal(tier.sum->fleet->n_looped, 0);
    assert_int_equal(tier.sum->fleet->n_counted, 204);
    assert_int_equal(tier.sum->fleet->via.n, 212);
    for (uint32_t i = 1; i < 212; i++)
        assert_true(tier.sum->fleet->via.ids[i - 1] < tier.sum->fleet->via.ids[i]);
}

/* Whose sum is published nowhere is in no loop, and a host sums up nobody. */
static void test_no_loop(void **unused)
{
    static struct tier tier, host;
    struct stage_node gpu1 = stage_node("gpu1");
    struct compact_head head;

    (void)unused;
    open_tier(&tier, NULL, NULL);
    say_via(&tier, "eu", 1, FLEET_VIA_MAX);
    assert_int_equal(sum_tier(&tier)->fleet->n_counted, 1);
    assert_int_equal(tier.sum->fleet->via.n, 0);

    open_tier(&host, "up", "a");
    stage_fill(&gpu1, &stage.said);
    head = stage_head(&gpu1);
    head.via.n = 1;
    head.via.ids[0] = host.fleet->via_id;
    assert_int_equal(compact_write(&stage.writer, &stage.out, &head, &stage.said,
                                   &stage.said.self, COMPACT_MAX),
                     0);
    hear(&host, "gpu1");
    assert_int_equal(sum_tier(&host)->fleet->n_counted, 1);
}

static size_t compared;

static int by_text(const void *a, const void *b)
{
    compared++;
    return strcmp(a, b);
}

static void test_sort(void **unused)
{
    static char texts[FLEET_NODES_MAX][8];
    static void *items[FLEET_NODES_MAX];

    (void)unused;
    for (int order = 0; order < 4; order++) {
        compared = 0;
        for (int i = 0; i < FLEET_NODES_MAX; i++) {
            int number = order == 0   ? i
                         : order == 1 ? FLEET_NODES_MAX - i
                         : order == 2 ? (i * 7919) % FLEET_NODES_MAX
                                      : i / 100;

            (void)snprintf(texts[i], sizeof(texts[i]), "%06d", number);
            items[i] = texts[i];
        }
        fleet_sort(items, FLEET_NODES_MAX, by_text);
        assert_in_range(compared, 0, 2 * 12 * FLEET_NODES_MAX);
        for (int i = 1; i < FLEET_NODES_MAX; i++)
            assert_true(strcmp(items[i - 1], items[i]) <= 0);
    }
}

/* Who knows how rows are found elsewhere knows nothing of it here. */
static void test_hashes_differ(void **unused)
{
    static struct tier one, other;
    struct stage_node gpu1 = stage_node("gpu1");

    (void)unused;
    open_tier(&one, NULL, NULL);
    open_tier(&other, NULL, NULL);
    say_host(&one, &gpu1);
    say_host(&other, &gpu1);
    assert_int_not_equal(one.fleet->names[0]->runs[0]->rows[0].hash,
                         other.fleet->names[0]->runs[0]->rows[0].hash);
    assert_int_not_equal(one.fleet->names[0]->runs[0]->gpus,
                         other.fleet->names[0]->runs[0]->gpus);
}

static double seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/*
 * "x", "x-", "x--", ..., each of them of several machines: as they are told, with '@'
 * behind them, all of these come after all whose names go on with '-'.
 */
static void test_order(void **unused)
{
    static const char *const machines[] = {"33333333", "11111111", "44444444",
                                           "22222222"};
    char name[COMPACT_NODE_SIZE] = "x";
    double begin;

    (void)unused;
    for (int i = 0; i < 3800; i++) {
        struct stage_node node;

        (void)snprintf(name, sizeof(name), "x-----------------------%04d", i);
        node = stage_node(name);
        node.n_models = 0;
        stage_say(&node);
    }
    for (int round = 0; round < 4; round++) {
        for (size_t len = 1; len < 24; len++) {
            memset(name, '-', sizeof(name));
            name[0] = 'x';
            name[len] = '\0';
            for (size_t i = 0; i < ARRAY_LEN(machines); i++) {
                struct stage_node node = stage_node(name);

                node.machine = machines[i];
                node.boot = (const char *[]){"a", "b", "c", "d"}[i];
                node.uuid = machines[i];
                node.n_models = 0;
                node.seq = (uint64_t)round;
                stage_say(&node);
            }
        }
        stage_wait(1100);
    }
    assert_int_equal(stage_sum(), 0);
    assert_int_equal(stage.sum->fleet->n_nodes, 3800 + 23 * 4);
    for (uint32_t i = 1; i < stage.sum->fleet->n_nodes; i++) {
        const struct fleet_node *nodes = stage.sum->fleet->nodes;

        assert_true(strcmp(nodes[i - 1].name, nodes[i].name) < 0);
        if (nodes[i].name[1] == '@')
            assert_memory_equal(nodes[i].machine, nodes[i].name + 2, 8);
        assert_string_equal(stage.fleet->sum.runs[i]->node.machine, nodes[i].machine);
        assert_memory_equal(stage.fleet->sum.names[i]->text, nodes[i].name,
                            strcspn(nodes[i].name, "@"));
        assert_int_equal(strlen(stage.fleet->sum.names[i]->text),
                         strcspn(nodes[i].name, "@"));
    }
    begin = seconds();
    assert_int_equal(stage_sum(), 0);
    print_message("# a sum of %u nodes in the worst order: %.2f ms\n",
                  stage.sum->fleet->n_nodes, (seconds() - begin) * 1e3);
}

#define STAGED(test) cmocka_unit_test_setup_teardown(test, stage_set, clear)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(test_same_as_flat),
        STAGED(test_large_region),
        STAGED(test_loop),
        STAGED(test_loop_ends),
        STAGED(test_loop_by_sibling),
        STAGED(test_loop_of_three),
        STAGED(test_too_many),
        STAGED(test_no_loop),
        STAGED(test_hashes_differ),
        STAGED(test_sort),
        STAGED(test_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
