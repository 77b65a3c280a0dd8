// SPDX-License-Identifier: Apache-2.0
#include "readers_options.h"

#include "base/number.h"

#include <getopt.h>
#include <stdio.h>

static _Noreturn void usage(void)
{
    (void)fprintf(stderr,
                  "usage: readers [--readers N] [--ticks K] [--interval MS] "
                  "[--stalled N] [--pid PID] [--softirq PID] [--fields] [--probe] PORT "
                  "PATH\n");
    exit(2);
}

struct number_option {
    size_t offset;
    uint64_t least, most;
};

static void read_number(const char *text, const struct number_option *number,
                        struct readers_options *options)
{
    uint64_t *value = (uint64_t *)(void *)((char *)options + number->offset);

    if (number_read_u64(span_of(text), number->most, value) < 0 || *value < number->least)
        usage();
}

void readers_options_read(int argc, char **argv, struct readers_options *options)
{
    static const struct option longs[] = {{"readers", required_argument, NULL, 0},
                                          {"ticks", required_argument, NULL, 1},
                                          {"interval", required_argument, NULL, 2},
                                          {"stalled", required_argument, NULL, 3},
                                          {"pid", required_argument, NULL, 4},
                                          {"softirq", required_argument, NULL, 5},
                                          {"fields", no_argument, NULL, 'f'},
                                          {"probe", no_argument, NULL, 'p'},
                                          {NULL, 0, NULL, 0}};
    static const struct number_option numbers[] = {
        {offsetof(struct readers_options, readers), 1, READERS_MAX},
        {offsetof(struct readers_options, ticks), 1, TICKS_MAX},
        {offsetof(struct readers_options, interval_ms), 10, 60000},
        {offsetof(struct readers_options, stalled), 0, READERS_MAX},
        {offsetof(struct readers_options, pid), 1, INT32_MAX},
        {offsetof(struct readers_options, softirq_pid), 1, INT32_MAX}};
    int found;

    *options = (struct readers_options){.readers = 100, .ticks = 20, .interval_ms = 500};
    for (;;) {
        found = getopt_long(argc, argv, "", longs, NULL);
        if (found == -1)
            break;
        if (found == '?')
            usage();
        if (found == 'f')
            options->fields = true;
        else if (found == 'p')
            options->probe = true;
        else
            read_number(optarg, &numbers[found], options);
    }
    if (argc - optind != 2 || options->stalled >= options->readers ||
        number_read_u64(span_of(argv[optind]), UINT16_MAX, &options->port) < 0)
        usage();
    options->path = argv[optind + 1];
}
