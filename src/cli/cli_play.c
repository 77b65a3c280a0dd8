// SPDX-License-Identifier: Apache-2.0
#include "cli/cli_play.h"

#include "cli/cli_output.h"

int play_open(struct play *play, const struct cli *cli, struct complaint *why)
{
    struct player_options options = {.speed = cli->speed, .loop = cli->loop};
    int r = recording_open(cli->operand, &play->recording, why);

    if (r < 0)
        return r;
    options.recording = play->recording;
    r = player_new(&options, &play->player);
    return r < 0 ? complain(why, r, "out of memory") : 0;
}

void play_close(struct play *play)
{
    player_free(play->player);
    recording_free(play->recording);
}

const struct vramscope_detail *play_decode(struct play *play,
                                           const struct recording_entry *entry)
{
    const struct vramscope_detail *detail = NULL;
    char why[256] = "";
    struct complaint reason;

    if (vramscope_detail_parse(entry->text.at, entry->text.len, &detail, why,
                               sizeof(why)) == 0)
        return detail;
    (void)complain(&reason, 0, "its document cannot be read: %s", why);
    recording_refuse(play->recording, reason.text);
    return NULL;
}

void play_tell_fault(struct play *play)
{
    if (play->has_told || !recording_skipped_lines(play->recording))
        return;
    play->has_told = true;
    cli_message("%s; it is left out", recording_fault(play->recording));
}

void play_tell_faults(struct play *play)
{
    uint64_t n = recording_skipped_lines(play->recording);

    play_tell_fault(play);
    if (n > 1)
        cli_message("%llu lines in all are left out", (unsigned long long)n);
}
