/* An ALSA capture device that plays a file as if it were a microphone, for the tests.
 *
 * It behaves as hardware does where that matters to a reader: frames appear in real time, a ring of limited size holds
 * them, a reader that comes too late gets -EPIPE and has lost what it did not read, and the device can be pulled out.
 *
 * alsa-lib loads it through a configuration such as
 *     pcm_type.file_microphone { lib "/…/file_microphone.so" }
 *     pcm.filemic { type file_microphone  file "/…/speech.s16"  rate 16000  channels 1 }
 * file          raw signed 16-bit little-endian frames, repeated for ever
 * rate          frames a second, the only rate offered
 * channels      the only number of channels offered
 * speed         how many times faster than real time the device's clock runs (default 1)
 * overrun_every frames between two overruns that the device reports by itself (default 0: only true ones)
 *
 * Faults are switched on by creating a file beside FILE, and off by removing it:
 * FILE.unplug   the device is gone: open fails and a running capture ends with -ENODEV
 * FILE.stuck    a faulty driver: always ready, never a frame, so that a naive reader spins
 * FILE.stall    the device is there but its clock has stopped
 * FILE.starts   grows by a byte at each start of the capture, the first and the one after each overrun
 * FILE.hang     stopping the device does not return
 */
#define PIC 1
#include <alsa/asoundlib.h>
#include <alsa/pcm_external.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { MAX_PATH = 512 };

typedef struct {
    snd_pcm_ioplug_t io;
    char path[MAX_PATH];
    int file;              /* the recording */
    int timer;             /* ticks twice a period while running; the descriptor that readers poll */
    unsigned frame_bytes;
    uint64_t file_frames;
    uint64_t next_frame;   /* of the recording, counted without wrapping */
    long speed;
    long overrun_every;
    snd_pcm_sframes_t pointer; /* as last reported */
    int running;
    int ever_started;
    struct timespec first_start; /* the microphone's clock: sound goes on while nobody reads */
    struct timespec start;       /* of the capture since the last prepare */
} file_microphone;

static int fault(const file_microphone *mic, const char *name)
{
    char path[MAX_PATH + 16];
    snprintf(path, sizeof path, "%s.%s", mic->path, name);
    return access(path, F_OK) == 0;
}

static int unplugged(file_microphone *mic)
{
    if (!fault(mic, "unplug"))
        return 0;
    snd_pcm_ioplug_set_state(&mic->io, SND_PCM_STATE_DISCONNECTED);
    return 1;
}

static uint64_t frames_since(const file_microphone *mic, const struct timespec *then)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t ns = (now.tv_sec - then->tv_sec) * 1000000000LL + now.tv_nsec - then->tv_nsec;
    return (uint64_t)((__int128)ns * mic->io.rate * mic->speed / 1000000000LL);
}

static void note_start(const file_microphone *mic)
{
    char path[MAX_PATH + 16];
    snprintf(path, sizeof path, "%s.starts", mic->path);
    int file = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (file < 0)
        return;
    if (write(file, "s", 1) < 0)
        perror(path);
    close(file);
}

static int set_timer(const file_microphone *mic, uint64_t interval_ns)
{
    struct itimerspec spec = {.it_interval = {interval_ns / 1000000000, interval_ns % 1000000000}};
    spec.it_value = spec.it_interval;
    return timerfd_settime(mic->timer, 0, &spec, NULL);
}

static int on_start(snd_pcm_ioplug_t *io)
{
    file_microphone *mic = io->private_data;
    if (unplugged(mic))
        return -ENODEV;
    clock_gettime(CLOCK_MONOTONIC, &mic->start);
    if (!mic->ever_started) {
        mic->ever_started = 1;
        mic->first_start = mic->start;
    }
    mic->pointer = 0;
    mic->next_frame = frames_since(mic, &mic->first_start); /* what nobody read meanwhile is lost */
    mic->running = 1;
    note_start(mic);
    return set_timer(mic, (uint64_t)io->period_size * 1000000000ULL / io->rate / mic->speed / 2 + 1);
}

static int on_stop(snd_pcm_ioplug_t *io)
{
    file_microphone *mic = io->private_data;
    while (fault(mic, "hang"))
        usleep(10000);
    mic->running = 0;
    return set_timer(mic, 0);
}

/* Where the device would write next. Any negative answer becomes XRUN inside alsa-lib, so an unplugged device says
 * that one frame is there, and the transfer of that frame fails with -ENODEV. */
static snd_pcm_sframes_t on_pointer(snd_pcm_ioplug_t *io)
{
    file_microphone *mic = io->private_data;
    if (unplugged(mic))
        return (snd_pcm_sframes_t)((io->appl_ptr + 1) % io->buffer_size);
    if (!mic->running)
        return 0;
    if (fault(mic, "stuck") || fault(mic, "stall"))
        return mic->pointer;
    uint64_t captured = frames_since(mic, &mic->start);
    uint64_t read = io->appl_ptr;
    if (captured > read + io->buffer_size)
        return -EPIPE;
    if (mic->overrun_every > 0 && captured > (uint64_t)mic->overrun_every)
        return -EPIPE;
    mic->pointer = (snd_pcm_sframes_t)(captured % io->buffer_size);
    return mic->pointer;
}

static snd_pcm_sframes_t on_transfer(snd_pcm_ioplug_t *io, const snd_pcm_channel_area_t *areas,
                                     snd_pcm_uframes_t offset, snd_pcm_uframes_t frames)
{
    file_microphone *mic = io->private_data;
    if (unplugged(mic))
        return -ENODEV;
    char *out = (char *)areas->addr + (areas->first + areas->step * offset) / 8;
    for (uint64_t done = 0; done < frames;) {
        uint64_t at = (mic->next_frame + done) % mic->file_frames;
        uint64_t run = frames - done < mic->file_frames - at ? frames - done : mic->file_frames - at;
        ssize_t got = pread(mic->file, out + done * mic->frame_bytes, run * mic->frame_bytes,
                            (off_t)(at * mic->frame_bytes));
        if (got < (ssize_t)mic->frame_bytes)
            return -EIO;
        done += (uint64_t)got / mic->frame_bytes;
    }
    mic->next_frame += frames;
    return (snd_pcm_sframes_t)frames;
}

static int on_poll_revents(snd_pcm_ioplug_t *io, struct pollfd *fds, unsigned count, unsigned short *revents)
{
    file_microphone *mic = io->private_data;
    uint64_t ticks;
    (void)count;
    if (fault(mic, "stuck")) { /* the tick is left unread, so poll returns at once, for ever */
        *revents = POLLIN;
        return 0;
    }
    if ((fds->revents & POLLIN) && read(mic->timer, &ticks, sizeof ticks) < 0 && errno != EAGAIN)
        return -errno;
    if (unplugged(mic)) {
        *revents = POLLERR | POLLHUP;
        return -ENODEV;
    }
    snd_pcm_sframes_t available = snd_pcm_avail_update(io->pcm);
    if (available < 0)
        *revents = POLLIN | POLLERR;
    else
        *revents = (snd_pcm_uframes_t)available >= io->period_size ? POLLIN : 0;
    return 0;
}

static int on_prepare(snd_pcm_ioplug_t *io)
{
    file_microphone *mic = io->private_data;
    mic->running = 0;
    return unplugged(mic) ? -ENODEV : 0;
}

static int on_close(snd_pcm_ioplug_t *io)
{
    file_microphone *mic = io->private_data;
    close(mic->file);
    close(mic->timer);
    free(mic);
    return 0;
}

static const snd_pcm_ioplug_callback_t callbacks = {
    .start = on_start,
    .stop = on_stop,
    .pointer = on_pointer,
    .transfer = on_transfer,
    .prepare = on_prepare,
    .poll_revents = on_poll_revents,
    .close = on_close,
};

static int offer_format(file_microphone *mic, long rate, long channels)
{
    static const unsigned access_modes[] = {SND_PCM_ACCESS_MMAP_INTERLEAVED, SND_PCM_ACCESS_RW_INTERLEAVED};
    static const unsigned formats[] = {SND_PCM_FORMAT_S16_LE};
    snd_pcm_ioplug_t *io = &mic->io;
    int error = snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_ACCESS, 2, access_modes);
    if (!error)
        error = snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_FORMAT, 1, formats);
    if (!error)
        error = snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_RATE, rate, rate);
    if (!error)
        error = snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_CHANNELS, channels, channels);
    if (!error)
        error = snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_PERIOD_BYTES, 64, 65536);
    if (!error)
        error = snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_BUFFER_BYTES, 128, 262144);
    if (!error)
        error = snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_PERIODS, 2, 64);
    return error;
}

SND_PCM_PLUGIN_DEFINE_FUNC(file_microphone)
{
    const char *path = NULL;
    long rate = 16000, channels = 1, speed = 1, overrun_every = 0;
    snd_config_iterator_t i, next;
    (void)root;
    snd_config_for_each(i, next, conf)
    {
        snd_config_t *entry = snd_config_iterator_entry(i);
        const char *key;
        int error = 0;
        if (snd_config_get_id(entry, &key) < 0)
            continue;
        if (!strcmp(key, "type") || !strcmp(key, "comment") || !strcmp(key, "hint"))
            continue;
        if (!strcmp(key, "file"))
            error = snd_config_get_string(entry, &path);
        else if (!strcmp(key, "rate"))
            error = snd_config_get_integer(entry, &rate);
        else if (!strcmp(key, "channels"))
            error = snd_config_get_integer(entry, &channels);
        else if (!strcmp(key, "speed"))
            error = snd_config_get_integer(entry, &speed);
        else if (!strcmp(key, "overrun_every"))
            error = snd_config_get_integer(entry, &overrun_every);
        else
            error = -EINVAL;
        if (error)
            return error;
    }
    if (!path || strlen(path) >= MAX_PATH || stream != SND_PCM_STREAM_CAPTURE || speed < 1)
        return -EINVAL;

    file_microphone *mic = calloc(1, sizeof *mic);
    if (!mic)
        return -ENOMEM;
    strcpy(mic->path, path);
    mic->speed = speed;
    mic->overrun_every = overrun_every;
    mic->frame_bytes = 2 * (unsigned)channels;
    struct stat info;
    int error = fault(mic, "unplug") ? -ENODEV : 0;
    if (!error && (mic->file = open(path, O_RDONLY | O_CLOEXEC)) < 0)
        error = -errno;
    if (error) {
        free(mic);
        return error;
    }
    mic->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    error = fstat(mic->file, &info) ? -errno : 0;
    mic->file_frames = error ? 0 : (uint64_t)info.st_size / mic->frame_bytes;
    if (!error && (mic->file_frames == 0 || mic->timer < 0))
        error = -EIO;
    if (!error) {
        mic->io.version = SND_PCM_IOPLUG_VERSION;
        mic->io.name = "A file, played as a microphone";
        mic->io.callback = &callbacks;
        mic->io.private_data = mic;
        mic->io.poll_fd = mic->timer;
        mic->io.poll_events = POLLIN;
        error = snd_pcm_ioplug_create(&mic->io, name, stream, mode);
    }
    if (error < 0) {
        close(mic->file);
        close(mic->timer);
        free(mic);
        return error;
    }
    error = offer_format(mic, rate, channels);
    if (error < 0) {
        snd_pcm_ioplug_delete(&mic->io);
        return error;
    }
    *pcmp = mic->io.pcm;
    return 0;
}
SND_PCM_PLUGIN_SYMBOL(file_microphone);
