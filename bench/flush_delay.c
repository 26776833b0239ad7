/* Makes every flush take FLUSH_DELAY_MS longer, as a cloud disk's does: LD_PRELOAD=flush_delay.so. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static int later(const char *name, int file) {
    int (*flush)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    const char *text = getenv("FLUSH_DELAY_MS");
    long ms = text ? atol(text) : 0;
    struct timespec delay = {ms / 1000, ms % 1000 * 1000000};
    int result = flush(file);
    nanosleep(&delay, NULL);
    return result;
}

int fsync(int file) { return later("fsync", file); }
int fdatasync(int file) { return later("fdatasync", file); }
