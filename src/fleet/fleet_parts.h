// SPDX-License-Identifier: Apache-2.0
/*
 * fleet_parts.h - what fleet/ keeps of its nodes; private to it
 *
 * A name has runs: programs, told apart by boot, that publish under it. One is shown, or
 * all that go on to speak. One that another has replaced is kept without its message, for
 * as long as it could speak again. All is guarded by `lock`, but for `taker`.
 */
#ifndef FLEET_FLEET_PARTS_H
#define FLEET_FLEET_PARTS_H

#include "base/thread.h"
#include "fleet/fleet.h"

#define FLEET_SECOND_NS UINT64_C(1000000000)

enum {
    FLEET_PLAIN_SIZE = COMPACT_NODE_SIZE,
    FLEET_RUNS_MAX = 4,                   // of one name
    FLEET_ROWS_MAX = 16384,               // different rows of models
    FLEET_ROW_SLOTS = 2 * FLEET_ROWS_MAX, // of the table that finds them
    FLEET_HOST_SLOTS = 2 * FLEET_NODES_MAX,
    FLEET_TOLD_SINGLY = 16,   // of one kind at one sum
    FLEET_TELLING_DIGITS = 8, // of a machine or a boot, where a name is not enough
    FLEET_COMPLAINT_SIZE = 256,
    FLEET_KEPT_MAX = 64 << 20, // bytes of messages; beyond, only what is summed up
};

/* A row of a message, as far as it goes into sums. Names are offsets in those of its run. */
struct node_row {
    uint32_t served_name;
    uint32_t id;
    uint32_t hash; // of id and port
    uint16_t port;
    bool stale;
    enum engine_state state;
    const char *engine_name;
    struct figure allocated_bytes;
    struct figure kv_used_bytes;
    struct figure kv_pool_bytes;
    uint64_t kv_used_blocks;
    uint64_t kv_blocks;
    uint64_t requests_running;
    uint64_t requests_waiting;
    uint64_t preemptions;
    struct hit_counts prefix_minute;
    struct hit_counts prefix_five_minutes;
    struct hit_counts prefix_lifetime;
};

/* How far figures are behind those that came the quickest. */
struct node_delay {
    bool has_base;
    int64_t base_ns;      // the least that our clock was ahead of the node's
    uint64_t measured_ns; // when that was looked at last
    int64_t wall_ms;      // by how much its wall clock was ahead of that clock
    uint64_t ns;          // of the newest figures
};

enum loop { LOOP_NONE, LOOP_FOUND, LOOP_HIDDEN };

struct run {
    struct fleet_node node; // as it says; name, state and age are found when it is told
    char outage[FLEET_REASON_SIZE];
    bool has_figures;   // its newest message has
    bool has_seq;       // some message had
    struct buf message; // the newest
    struct buf names;   // of its rows, each with its NUL
    struct node_row *rows;
    size_t n_rows;
    size_t rows_room;
    uint32_t models_left_out;                         // that have no row
    struct hit_counts minute, five_minutes, lifetime; // of all models
    uint32_t pool_unknown; // models of which the KV pool's size is not known
    uint32_t n_via;        // gateways that its sum is made of,
    struct buf via;        // and their ids
    enum loop loop;        // as the last sum has found it,
    enum loop told_loop;   // and as it was told
    uint64_t gpus;         // of its devices' UUIDs; 0: it has none
    uint64_t hash_seed;    // of the fleet
    uint64_t unix_ms;      // of its newest message, by its own clock
    uint64_t figures_ns;   // when its newest figures came
    struct node_delay delay;
    uint64_t superseded_ns; // when another took its place; 0: it is shown
    uint64_t serial;        // of its newest message, among those of its name
    uint64_t event;         // the last one taken, and when that was, by its own clock
    int64_t event_unix_ms;
    bool watched;
};

enum told { TOLD_NOTHING, TOLD_PRESENT, TOLD_LOST };

struct name {
    char text[FLEET_PLAIN_SIZE];
    struct run *runs[FLEET_RUNS_MAX];
    size_t n_runs;
    uint64_t spoke_ns;      // when its last message came, readable or not
    uint64_t paid_until_ns; // messages are paid for with time
    uint64_t events_paid_until_ns;
    uint64_t messages; // that were read, of all its runs
    uint64_t malformed;
    uint64_t dropped;
    const char *unreadable; // what is wrong with its last message; NULL: nothing
    bool watched;
    bool told_taken;
    enum told told;
};

/* A row in the making. Names are those of the runs. */
struct row_sum {
    struct node_row row; // figures are not used
    const char *served_name;
    const char *id;
    const struct run *last; // that has been added
    bool last_ready;
    bool in_seed;
    uint32_t nodes;
    uint32_t ready;
    struct figure figures[3]; // allocated, KV used, KV pool; FROM_NOWHERE: none yet
    uint32_t unknown[3];
};

/* What fleet_sum() works with. */
struct summing {
    struct run *runs[FLEET_NODES_MAX]; // that are shown, and the names they are of
    struct name *names[FLEET_NODES_MAX];
    struct fleet_node *nodes; // of the snapshot
    uint32_t n;
    uint32_t hosts[FLEET_HOST_SLOTS]; // 1 + index of `runs`, by machine and GPUs
    uint32_t slots[FLEET_ROW_SLOTS];  // 1 + index of `rows`, by id and port
    struct row_sum *rows;             // FLEET_ROWS_MAX
    void **order;                     // of rows or of nodes, while they are put in order
    uint32_t n_rows;
    uint32_t left_out; // rows, here and by nodes
};

struct fleet {
    pthread_mutex_t lock;
    struct name *names[FLEET_NODES_MAX]; // by bytes
    size_t n_names;
    struct fleet_link link; // malformed, dropped, refused
    uint64_t now_ns;        // the latest that was passed in
    uint64_t began_ns;      // when the first message came; 0: none has
    uint64_t full_ns;       // when no room was found last; 0: never
    size_t kept_bytes;      // about, by the newest messages: exact at each sum
    char complaint[FLEET_COMPLAINT_SIZE];
    char loop_complaint[FLEET_COMPLAINT_SIZE];
    uint64_t hash_seed; // by chance: no node knows which of its rows will collide
    uint64_t via_id;    // of this gateway's own sum; 0: it is published nowhere
    struct event events[FLEET_EVENTS];
    uint32_t told_now[EVENT_KINDS]; // at this sum
    uint64_t first_event;           // numbers, modulo FLEET_EVENTS
    uint64_t next_event;
    struct summing sum;
    struct {
        struct compact_reader reader;
        struct compact_message message;
    } taker; // of fleet_take() alone
};

/* Between two times, of which either may be the earlier one: then 0. */
static inline uint64_t fleet_since(uint64_t then_ns, uint64_t now_ns)
{
    return now_ns > then_ns ? now_ns - then_ns : 0;
}

/* fleet_table.c */
bool fleet_is_name(struct span name);
struct name *fleet_find(struct fleet *fleet, struct span name);
/* NULL: there are as many as may be, and none is lost; or there is no memory. */
struct name *fleet_add(struct fleet *fleet, struct span name, uint64_t now_ns);
void fleet_remove(struct fleet *fleet, size_t at);
size_t fleet_count_shown(const struct fleet *fleet);
bool fleet_make_room(struct fleet *fleet, uint64_t now_ns);
struct run *fleet_add_run(struct name *name, const struct compact_head *head,
                          uint64_t now_ns);
void fleet_drop_run(struct name *name, size_t at);
void fleet_empty_run(struct run *run); // gives its memory back

/* fleet_keep.c: -ENOMEM leaves the run as one in an outage. */
int fleet_keep(struct run *run, struct span bytes, const struct compact_message *message);
void fleet_no_figures(struct fleet_node *node);
uint64_t fleet_add_count(uint64_t sum, uint64_t count);
uint32_t fleet_add_few(uint32_t sum, uint32_t more);
void fleet_add_hits(struct hit_counts *sum, struct hit_counts more);

/* fleet_runs.c: who of a name is shown. */
size_t fleet_shown(const struct name *name, struct run *ret[FLEET_RUNS_MAX]);
void fleet_call(const struct name *name, const struct run *run,
                char ret[FLEET_NAME_SIZE]);
struct run *fleet_find_run(const struct name *name, const struct compact_head *head);
/* A new run of that head could be called by a name that no other goes by. */
bool fleet_is_distinct(const struct name *name, const struct compact_head *head);
bool fleet_began_later(const struct run *a, const struct run *b);
/* Of two that are one: that which began last, or of gateways that which sums up more. */
bool fleet_is_better(const struct run *a, const struct run *b);
/*
 * Gateways of one name know the same nodes: the best of those that speak. NULL: not all that
 * are shown are gateways.
 */
struct run *fleet_best_gateway(const struct name *name, uint64_t now_ns);
/* The run of a message, which is new. NULL: it is passed over; *ret_refused: for want of room. */
struct run *fleet_place(struct fleet *fleet, struct name *name,
                        const struct compact_head *head, uint64_t now_ns,
                        bool *ret_refused);

/* fleet_state.c */
void fleet_measure_delay(struct node_delay *delay, const struct snapshot *snapshot,
                         uint64_t now_ns);
uint64_t fleet_age(const struct run *run, uint64_t now_ns);
uint64_t fleet_interval_ns(const struct run *run);            // a minute at most
bool fleet_is_silent(const struct run *run, uint64_t now_ns); // for as long as a lost one
bool fleet_is_quiet(const struct run *run, uint64_t now_ns);  // as a stale one
enum node_state fleet_state(const struct name *name, const struct run *run,
                            uint64_t now_ns);
bool fleet_name_is_lost(const struct name *name, uint64_t now_ns);
void fleet_explain(const struct name *name, const struct run *run, enum node_state state,
                   uint64_t now_ns, char ret[FLEET_REASON_SIZE]);

/* fleet_via.c: those that are listed and would sum up this gateway again; fills `ret`. */
void fleet_find_loops(struct fleet *fleet, struct fleet_via *ret);
/* Why one that is in a loop does not count; "" of one that is in none. */
const char *fleet_explain_loop(enum loop loop);

/* fleet_sort.c: less than 0 where the first is to come first. Nothing is allocated. */
typedef int fleet_order_fn(const void *a, const void *b);
void fleet_sort(void **items, size_t n, fleet_order_fn *order);

/* fleet_rows.c */
void fleet_add_rows(struct summing *sum, const struct run *run);
void fleet_give_rows(struct summing *sum, struct snapshot *ret);
uint32_t fleet_count_rows(const struct summing *sum);

/* fleet_tidy.c: who goes, and what there is to tell of it. */
void fleet_tidy(struct fleet *fleet, uint64_t now_ns, uint64_t unix_ms);

/* fleet_events.c */
void fleet_take_events(struct fleet *fleet, struct name *name, struct run *run,
                       const struct compact_message *message, uint64_t unix_ms);
void fleet_tell(struct fleet *fleet, enum event_kind kind, const char *node,
                uint64_t unix_ms, const char *format, ...) PRINTF_LIKE(5, 6);
/* Those that were too many to be told each, as when a server goes: they are one event. */
void fleet_tell_rest(struct fleet *fleet, uint64_t unix_ms);

#endif
