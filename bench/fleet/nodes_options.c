// SPDX-License-Identifier: Apache-2.0
#include "nodes_options.h"

#include "base/number.h"

#include <getopt.h>
#include <stdio.h>

static _Noreturn void usage(void)
{
    (void)fprintf(
        stderr,
        "usage: nodes [--nodes N] [--url nats://127.0.0.1:4222]... [--interval-ms MS]\n"
        "             [--seconds S] [--prefix PREFIX] [--distinct] [--same-name]\n"
        "             [--cut NODE:FROM:TO]... [--flood NODE:RATE] [--malformed NODE]\n"
        "Nodes are told by number: 0 is \"probe\", 17 is \"gpu0017\". FROM and TO are\n"
        "seconds since the start, which the first line printed tells. --same-name: node "
        "2\n"
        "has the name of node 1. --distinct: no two nodes serve the same model.\n");
    exit(2);
}

/* "17", "17:10:40"; as many numbers as there are places. */
static void read_numbers(const char *text, uint64_t *ret, size_t n, uint64_t most)
{
    for (size_t i = 0; i < n; i++) {
        const char *end = strchrnul(text, ':');

        if ((i == n - 1) != (*end == '\0') ||
            number_read_u64((struct span){text, (size_t)(end - text)}, most, &ret[i]) < 0)
            usage();
        text = end + 1;
    }
}

static uint64_t read_number(const char *text, uint64_t least, uint64_t most)
{
    uint64_t value;

    read_numbers(text, &value, 1, most);
    if (value < least)
        usage();
    return value;
}

static void add_cut(struct nodes_options *options, const char *text)
{
    uint64_t numbers[3];

    read_numbers(text, numbers, 3, 1000000);
    if (options->n_cuts == CUTS_MAX)
        usage();
    options->cuts[options->n_cuts++] = (struct cut){numbers[0], numbers[1], numbers[2]};
}

static void set_flood(struct nodes_options *options, const char *text)
{
    uint64_t numbers[2];

    read_numbers(text, numbers, 2, 100000);
    if (!numbers[1])
        usage();
    options->floods = true;
    options->flooding = numbers[0];
    options->flood_rate = numbers[1];
}

static void take_option(struct nodes_options *options, int found)
{
    switch (found) {
    case 'n':
        options->nodes = read_number(optarg, 1, NODES_MAX);
        break;
    case 'u':
        if (peer_add_server(&options->servers, span_of(optarg)) < 0)
            usage();
        break;
    case 'i':
        options->interval_ms = read_number(optarg, 50, 60000);
        break;
    case 's':
        options->seconds = read_number(optarg, 1, 1000000);
        break;
    case 'p':
        options->prefix = optarg;
        break;
    case 'd':
        options->distinct = true;
        break;
    case 'S':
        options->same_name = true;
        break;
    case 'c':
        add_cut(options, optarg);
        break;
    case 'f':
        set_flood(options, optarg);
        break;
    case 'm':
        options->has_malformed = true;
        options->malformed = read_number(optarg, 0, NODES_MAX);
        break;
    default:
        usage();
    }
}

void nodes_options_read(int argc, char **argv, struct nodes_options *options)
{
    static const struct option longs[] = {
        {"nodes", required_argument, NULL, 'n'},
        {"url", required_argument, NULL, 'u'},
        {"interval-ms", required_argument, NULL, 'i'},
        {"seconds", required_argument, NULL, 's'},
        {"prefix", required_argument, NULL, 'p'},
        {"distinct", no_argument, NULL, 'd'},
        {"same-name", no_argument, NULL, 'S'},
        {"cut", required_argument, NULL, 'c'},
        {"flood", required_argument, NULL, 'f'},
        {"malformed", required_argument, NULL, 'm'},
        {NULL, 0, NULL, 0},
    };
    int found;

    *options = (struct nodes_options){
        .nodes = 100, .interval_ms = 500, .seconds = 30, .prefix = "vramscope"};
    for (;;) {
        found = getopt_long(argc, argv, "", longs, NULL);
        if (found == -1)
            break;
        take_option(options, found);
    }
    if (optind != argc || strlen(options->prefix) > 40)
        usage();
    if (!options->servers.n &&
        peer_add_server(&options->servers, span_of("nats://127.0.0.1:4222")) < 0)
        usage();
}
