// SPDX-License-Identifier: Apache-2.0
#include "sim/sim_engine.h"

#include "sim/sim_kv.h"

#include <math.h>

enum {
    RUNNING_MAX = 512,
    WAITING_MAX = 1024,
    ARRIVALS_STOP = WAITING_MAX - RUNNING_MAX, // room for all that may be preempted
    STEP_TOKENS_MAX = 8192,

    STEP_NS = 15 * 1000 * 1000,
    STEP_TOKEN_NS = 2 * 1000,
    STEP_REQUEST_NS = 20 * 1000,
    IDLE_STEP_NS = 10 * 1000 * 1000,

    CONCURRENCY = 96, // requests that about fill a pool of middling size
    REQUEST_TOKENS_MIN = 16,
    REQUEST_TOKENS_MAX = 8192,
    OUTPUT_TOKENS_MAX = 250,
};

#define NS_PER_S 1e9

static const double output_share = 0.3;   // of a request's tokens
static const double prefix_share = 0.65;  // of a prompt's tokens
static const double grouped_share = 0.85; // of all requests
static const double abort_share = 0.01;

/* The mean request, in tokens. */
struct shape {
    double output, prefix, tail;
    double arrivals_per_s; // that fill the pool
};

struct request {
    uint64_t prompt_tokens;
    uint64_t output_tokens; // it will have made at its end
    uint64_t generated;
    uint64_t computed; // tokens whose KV is in the pool
    uint64_t chunk;    // tokens this step computes
    uint64_t blocks;   // held alone
    uint64_t cached_tokens;
    size_t group;
    enum sim_value reason; // SIM_FINISHED_...
    bool admitted_before;
    uint64_t arrived_ns, admitted_ns, first_token_ns, last_token_ns;
};

struct sim_engine {
    struct sim_stats stats;
    struct sim_engine_options options;
    struct shape shape;
    struct sim_kv kv;
    uint64_t random;
    uint64_t now_ns, step_ns; // step_ns: what the last step took
    uint64_t max_tokens;
    size_t n_running, n_waiting, first_waiting;
    struct request running[RUNNING_MAX];
    struct request waiting[WAITING_MAX]; // a ring
};

/* splitmix64, as a fraction in [0, 1). */
static double chance(struct sim_engine *e)
{
    uint64_t z = e->random += 0x9e3779b97f4a7c15U;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
    z = (z ^ z >> 27) * 0x94d049bb133111ebU;
    return ldexp((double)((z ^ z >> 31) >> 11), -53);
}

/* About `mean`, at least 1: evenly between 0.5 and 1.5 of it. */
static uint64_t about(struct sim_engine *e, double mean)
{
    return (uint64_t)fmax(1, round(mean * (0.5 + chance(e))));
}

/* How many arrive when `mean` do on average (Knuth's product method). */
static unsigned arrivals(struct sim_engine *e, double mean)
{
    double limit = exp(-mean), product = chance(e);
    unsigned n = 0;

    for (; product > limit; n++)
        product *= chance(e);
    return n;
}

static double seconds(uint64_t from_ns, uint64_t to_ns)
{
    return (double)(to_ns - from_ns) / NS_PER_S;
}

static void count(struct sim_engine *e, enum sim_value value, uint64_t n)
{
    e->stats.values[value] += (double)n;
}

static struct request make_request(struct sim_engine *e)
{
    const struct shape *shape = &e->shape;
    struct request r = {.group = SIM_KV_NO_GROUP, .arrived_ns = e->now_ns};

    r.prompt_tokens = about(e, shape->tail);
    if (chance(e) < grouped_share) {
        r.group = (size_t)(SIM_KV_GROUPS * pow(chance(e), 2)); // some are popular
        r.prompt_tokens += e->kv.groups[r.group].blocks * e->options.block_size;
    } else {
        r.prompt_tokens += about(e, shape->prefix);
    }

    r.output_tokens = about(e, shape->output);
    r.reason = SIM_FINISHED_STOP;
    if (r.output_tokens >= e->max_tokens) {
        r.output_tokens = e->max_tokens;
        r.reason = SIM_FINISHED_LENGTH;
    } else if (chance(e) < abort_share) {
        r.output_tokens = (r.output_tokens + 1) / 2;
        r.reason = SIM_FINISHED_ABORT;
    }
    return r;
}

static void arrive(struct sim_engine *e)
{
    double at_s = (double)e->now_ns / NS_PER_S + e->options.phase_s;
    double rate = e->shape.arrivals_per_s * e->options.demand(at_s);
    unsigned n = arrivals(e, rate * (double)e->step_ns / NS_PER_S);

    for (; n > 0 && e->n_waiting < ARRIVALS_STOP; n--) {
        size_t at = (e->first_waiting + e->n_waiting++) % WAITING_MAX;

        e->waiting[at] = make_request(e);
    }
}

/* Blocks that `r` needs for itself to compute all of its tokens so far. */
static uint64_t blocks_for(const struct sim_engine *e, const struct request *r)
{
    uint64_t tokens = r->prompt_tokens + r->generated;
    uint64_t size = e->options.block_size;

    return (tokens + size - 1) / size - e->kv.groups[r->group].blocks;
}

static void preempt_last(struct sim_engine *e)
{
    struct request *r = &e->running[--e->n_running];

    sim_kv_release(&e->kv, r->group, r->blocks);
    r->blocks = 0;
    e->first_waiting = (e->first_waiting + WAITING_MAX - 1) % WAITING_MAX;
    e->waiting[e->first_waiting] = *r;
    e->n_waiting++;
    count(e, SIM_PREEMPTIONS, 1);
}

/* Give each running request the block for its next token. True: some were preempted. */
static bool grow_running(struct sim_engine *e)
{
    size_t before = e->n_running;

    for (size_t i = 0; i < e->n_running; i++) {
        struct request *r = &e->running[i];
        uint64_t more = blocks_for(e, r) - r->blocks;

        while (i < e->n_running && !sim_kv_grow(&e->kv, more))
            preempt_last(e);
        if (i < e->n_running)
            r->blocks += more;
    }
    return e->n_running < before;
}

static void count_admission(struct sim_engine *e, struct request *r)
{
    if (r->admitted_before)
        return; // vLLM keeps what preempted requests look up apart
    r->admitted_before = true;
    r->admitted_ns = e->now_ns;
    r->cached_tokens = r->computed;
    count(e, SIM_PREFIX_QUERIES, r->prompt_tokens);
    count(e, SIM_PREFIX_HITS, r->cached_tokens);
    sim_stats_observe(&e->stats, SIM_QUEUE_SECONDS, seconds(r->arrived_ns, e->now_ns));
}

static void admit(struct sim_engine *e)
{
    while (e->n_waiting > 0 && e->n_running < RUNNING_MAX) {
        struct request *r = &e->waiting[e->first_waiting];
        uint64_t blocks = blocks_for(e, r);
        bool hit;

        if (!sim_kv_admit(&e->kv, r->group, blocks, &hit))
            break;
        r->blocks = blocks;
        r->computed = hit ? e->kv.groups[r->group].blocks * e->options.block_size : 0;
        count_admission(e, r);
        e->running[e->n_running++] = *r;
        e->first_waiting = (e->first_waiting + 1) % WAITING_MAX;
        e->n_waiting--;
    }
}

/* Share one step's tokens out; how many there are. */
static uint64_t schedule(struct sim_engine *e)
{
    uint64_t left = STEP_TOKENS_MAX;

    for (size_t i = 0; i < e->n_running; i++) {
        struct request *r = &e->running[i];

        r->chunk = MIN(r->prompt_tokens + r->generated - r->computed, left);
        left -= r->chunk;
    }
    return STEP_TOKENS_MAX - left;
}

static void count_first_token(struct sim_engine *e, struct request *r)
{
    uint64_t computed = r->prompt_tokens - r->cached_tokens;

    r->first_token_ns = e->now_ns;
    count(e, SIM_PROMPT_TOKENS, r->prompt_tokens);
    count(e, SIM_PROMPT_COMPUTED, computed);
    count(e, SIM_PROMPT_CACHED, r->cached_tokens);
    sim_stats_observe(&e->stats, SIM_FIRST_TOKEN_SECONDS,
                      seconds(r->arrived_ns, e->now_ns));
}

static void make_token(struct sim_engine *e, struct request *r)
{
    if (r->generated == 0)
        count_first_token(e, r);
    else
        sim_stats_observe(&e->stats, SIM_INTER_TOKEN_SECONDS,
                          seconds(r->last_token_ns, e->now_ns));
    r->generated++;
    r->last_token_ns = e->now_ns;
    count(e, SIM_GENERATION_TOKENS, 1);
}

static void count_finish(struct sim_engine *e, const struct request *r)
{
    double e2e_s = seconds(r->arrived_ns, r->last_token_ns);
    double decode_s = seconds(r->first_token_ns, r->last_token_ns);
    const struct {
        enum sim_histogram_id id;
        double value;
    } facts[] = {
        {SIM_REQUEST_PROMPT_TOKENS, (double)r->prompt_tokens},
        {SIM_REQUEST_GENERATION_TOKENS, (double)r->generated},
        {SIM_REQUEST_MAX_GENERATION_TOKENS, (double)r->generated},
        {SIM_REQUEST_N, 1},
        {SIM_REQUEST_MAX_TOKENS, (double)e->max_tokens},
        {SIM_TIME_PER_TOKEN_SECONDS, decode_s / fmax(1, (double)r->generated - 1)},
        {SIM_E2E_SECONDS, e2e_s},
        {SIM_INFERENCE_SECONDS, seconds(r->admitted_ns, r->last_token_ns)},
        {SIM_PREFILL_SECONDS, seconds(r->admitted_ns, r->first_token_ns)},
        {SIM_DECODE_SECONDS, decode_s},
        {SIM_PREFILL_COMPUTED_TOKENS, (double)(r->prompt_tokens - r->cached_tokens)},
        {SIM_HTTP_SECONDS, e2e_s},
        {SIM_HTTP_COARSE_SECONDS, e2e_s},
    };

    for (size_t i = 0; i < ARRAY_LEN(facts); i++)
        sim_stats_observe(&e->stats, facts[i].id, facts[i].value);
    count(e, r->reason, 1);
}

/* Book what the step has computed, and drop the requests that are done. */
static void collect(struct sim_engine *e)
{
    size_t kept = 0;

    for (size_t i = 0; i < e->n_running; i++) {
        struct request *r = &e->running[i];

        r->computed += r->chunk;
        if (r->chunk > 0 && r->computed == r->prompt_tokens + r->generated)
            make_token(e, r);
        if (r->generated < r->output_tokens) {
            e->running[kept++] = *r;
            continue;
        }
        count_finish(e, r);
        sim_kv_release(&e->kv, r->group, r->blocks);
    }
    e->n_running = kept;
}

static void set_gauges(struct sim_engine *e)
{
    double *values = e->stats.values;

    values[SIM_RUNNING] = (double)e->n_running;
    values[SIM_WAITING] = values[SIM_WAITING_CAPACITY] = (double)e->n_waiting;
    values[SIM_KV_USAGE] = sim_kv_usage(&e->kv);
    e->stats.used_blocks = e->kv.used;
}

static void step(struct sim_engine *e)
{
    uint64_t tokens;

    arrive(e);
    if (!grow_running(e))
        admit(e);
    tokens = schedule(e);
    if (tokens > 0)
        sim_stats_observe(&e->stats, SIM_ITERATION_TOKENS, (double)tokens);

    e->step_ns = IDLE_STEP_NS;
    if (tokens > 0)
        e->step_ns = STEP_NS + tokens * STEP_TOKEN_NS + e->n_running * STEP_REQUEST_NS;
    e->now_ns += e->step_ns;
    collect(e);
    set_gauges(e);
}

/* Requests sized so that a pool of any size fills and empties visibly. */
static struct shape shape_for(const struct sim_kv *kv, uint64_t block_size)
{
    double size = (double)block_size;
    double pool_tokens = (double)kv->usable * size;
    double tokens =
        fmin(fmax(pool_tokens / CONCURRENCY, REQUEST_TOKENS_MIN), REQUEST_TOKENS_MAX);
    double output = fmin(tokens * output_share, OUTPUT_TOKENS_MAX);
    double prompt = tokens - output;
    double prefix = prompt * prefix_share, tail = prompt - prefix;
    double held_tokens = tail + (1 - grouped_share) * prefix + output / 2;
    double held_blocks = held_tokens / size + 0.5; // the last block is half full
    double held_s = (output + 1) * 1.3 * STEP_NS / NS_PER_S; // 1.3: the work of a step

    return (struct shape){
        .output = output,
        .prefix = prefix,
        .tail = tail,
        .arrivals_per_s = (double)kv->usable / (held_blocks * held_s),
    };
}

static void make_groups(struct sim_engine *e)
{
    for (size_t i = 0; i < SIM_KV_GROUPS; i++)
        e->kv.groups[i].blocks = about(e, e->shape.prefix) / e->options.block_size;
}

int sim_engine_new(const struct sim_engine_options *options, struct sim_engine **ret)
{
    struct sim_engine *e;

    if (options->kv_blocks < 2 ||
        (options->kv_blocks - 1) * options->block_size < SIM_POOL_TOKENS_MIN)
        return -EINVAL;
    e = calloc(1, sizeof(*e));
    if (!e)
        return -ENOMEM;

    e->options = *options;
    e->random = options->seed;
    e->step_ns = IDLE_STEP_NS;
    e->kv.usable = options->kv_blocks - 1;
    e->shape = shape_for(&e->kv, options->block_size);
    e->max_tokens = (uint64_t)fmax(1, e->shape.output * 1.3);
    make_groups(e);
    e->stats.values[SIM_AWAKE] = 1;
    *ret = e;
    return 0;
}

void sim_engine_free(struct sim_engine *e)
{
    free(e);
}

void sim_engine_advance(struct sim_engine *e, uint64_t until_ns)
{
    while (e->now_ns + e->step_ns <= until_ns)
        step(e);
}

const struct sim_stats *sim_engine_stats(const struct sim_engine *e)
{
    return &e->stats;
}
