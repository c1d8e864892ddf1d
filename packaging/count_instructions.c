/* A plugin for qemu-user 7.2 (plugin API 1) that counts the instructions a program executes, between marks.
 *
 * The program sets a mark with the system call getpriority(PRIO_USER, MARK + number), which nobody else makes: it
 * asks for a user that does not exist, fails, and changes nothing. In Python,
 *     with contextlib.suppress(ProcessLookupError): os.getpriority(os.PRIO_USER, 0x5E000000 + number)
 * At every mark the plugin writes
 *     mark NUMBER TOTAL          instructions executed since the start
 *     block ADDRESS LENGTH RUNS  one line a block that ran since the last mark: its first address, its
 *                                instructions, how often it ran (only with blocks=1)
 * A block is one of qemu's translation blocks: straight-line code, entered at its first instruction only, and
 * left at its last. The counts are exact for a program of one thread; threads would race for the counters.
 *
 * Arguments: out=FILE, syscall=NUMBER (of getpriority on the emulated machine: 141 on arm64, 96 on arm), blocks=1.
 * Debian does not package qemu's plugin header, so the few declarations that are needed stand below.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define INLINE_ADD_U64 0
#define PRIO_USER 2
#define MARK 0x5E000000

struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void (*tb_translated)(uint64_t id, struct qemu_plugin_tb *tb);
typedef void (*syscall_entered)(uint64_t id, unsigned cpu, int64_t number, uint64_t a1, uint64_t a2, uint64_t a3,
                                uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8);
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, tb_translated callback);
void qemu_plugin_register_vcpu_syscall_cb(uint64_t id, syscall_entered callback);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *tb, int operation, void *counter, uint64_t by);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);

EXPORT int qemu_plugin_version = 1;

struct block {
    struct block *next;
    uint64_t address, length, runs, runs_at_last_mark;
};

static struct block *blocks; /* the latest first; never freed: translated code points into them */
static FILE *out;
static int64_t mark_syscall;
static int write_blocks;

static void translated(uint64_t id, struct qemu_plugin_tb *tb) {
    (void)id;
    struct block *block = calloc(1, sizeof *block);
    if (!block) abort();
    block->address = qemu_plugin_tb_vaddr(tb);
    block->length = qemu_plugin_tb_n_insns(tb);
    block->next = blocks;
    blocks = block;
    qemu_plugin_register_vcpu_tb_exec_inline(tb, INLINE_ADD_U64, &block->runs, 1);
}

static void entered(uint64_t id, unsigned cpu, int64_t number, uint64_t which, uint64_t who, uint64_t a3, uint64_t a4,
                    uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8) {
    (void)id, (void)cpu, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (number != mark_syscall || which != PRIO_USER || who < MARK || who > MARK + 0xFFFFFF) return;
    uint64_t total = 0;
    for (struct block *block = blocks; block; block = block->next) total += block->runs * block->length;
    fprintf(out, "mark %" PRIu64 " %" PRIu64 "\n", who - MARK, total);
    for (struct block *block = blocks; block; block = block->next) {
        uint64_t runs = block->runs - block->runs_at_last_mark;
        if (write_blocks && runs)
            fprintf(out, "block %" PRIx64 " %" PRIu64 " %" PRIu64 "\n", block->address, block->length, runs);
        block->runs_at_last_mark = block->runs;
    }
    fflush(out);
}

EXPORT int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv) {
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (!strncmp(argv[i], "out=", 4)) out = fopen(argv[i] + 4, "w");
        if (!strncmp(argv[i], "syscall=", 8)) mark_syscall = atoll(argv[i] + 8);
        if (!strcmp(argv[i], "blocks=1")) write_blocks = 1;
    }
    if (!out || !mark_syscall) {
        fprintf(stderr, "count_instructions: needs out=FILE that can be written, and syscall=NUMBER\n");
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, entered);
    return 0;
}
